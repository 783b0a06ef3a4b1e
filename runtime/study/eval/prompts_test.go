package eval

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The number of a prompt is that of its line or row, so no prompt is skipped.
func TestReadPrompts(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, data, column string
		want               []string
		err                string
	}{
		{"a.txt", "one\r\n two \nthree\n\n\n", "", []string{"one", " two ", "three"}, ""},
		{"b.txt", byteOrderMark + "one", "", []string{"one"}, ""},
		{"c.txt", "one\n\nthree\n", "", nil, "c.txt: prompt 1 is empty"},
		{"d.txt", "\n\n", "", nil, "the file has no prompts"},
		{"e.txt", "one\n", "#x", nil, "e.txt has lines, not columns"},
		{"f.csv", "answer,prompt\na,\"one, two\"\n", "", []string{"one, two"}, ""},
		{"g.csv", "prompt,obscure_sentence\n0,one\n", "", []string{"one"}, ""},
		{"h.csv", "a,b\n1,2\n", "", nil, "want h.csv#COLUMN with one of its columns: a, b"},
		{"i.csv", "a,b\n1,2\n3,4\n", "#b", []string{"2", "4"}, ""},
		{"j.csv", "a,b\n1,2\n", "#c", nil, "want j.csv#COLUMN"},
		{"k.csv", "anything\none\n", "", []string{"one"}, ""},
		{"l.csv", "a,b\n1,\n", "#b", nil, "prompt 0 is empty"},
		{"m.jsonl", "{\"text\": \"one\", \"n\": 1}\n{\"text\": \"two\", \"n\": 2}\n", "", []string{"one", "two"}, ""},
		{"n.csv", "a\n", "", nil, "the file has no prompts"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.data), 0o666); err != nil {
			t.Fatal(err)
		}
		got, file, err := ReadPrompts(path + c.column)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		case c.err == "" && (err != nil || !slices.Equal(got, c.want) || file.Name != c.name || len(file.SHA256) != 64):
			t.Errorf("%s: %q, %+v, %v, want %q", c.name, got, file, err, c.want)
		}
	}
}
