package eval

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a file of prompts may be: errors have the line, or the number of the prompt; a byte order mark and carriage returns at the ends of
// lines are no part of a text. Spaces are: eval adds one before an answer, and refuses an answer that has one already.
func TestD11PromptFiles(t *testing.T) {
	type row struct{ TwoHop, OneHop, Explicit, Obscure, Answer string }
	tests := []struct {
		name, file, text string
		want             []row
		err              string
	}{
		{name: "the paper's, with a mark, carriage returns and spaces", file: "a.csv",
			text: "\ufeffexplicit_sentence,obscure_sentence,explicit_entity,obscure_entity,answer\r\nX lives in,\"The  leader, of Y lives in \",X ,Y,Rome\r\n",
			want: []row{{"The  leader, of Y lives in ", "X lives in", "X ", "Y", "Rome"}}},
		{name: "simple", file: "a.csv", text: "answer,memory,prompt,note\nRome,X,Where,-\n", want: []row{{TwoHop: "Where", Explicit: "X", Answer: "Rome"}}},
		{name: "a column without a name", file: "a.csv", text: ",prompt,answer\n0,Where,Rome\n1,Who,Zoë\n", want: []row{{TwoHop: "Where", Answer: "Rome"}, {TwoHop: "Who", Answer: "Zoë"}}},
		{name: "the prompts.csv of results", file: "a.csv", text: "prompt,answer,obscure_sentence,memory,explicit_entity\n0,Rome,Where,no,X\n",
			want: []row{{TwoHop: "Where", Explicit: "X", Answer: "Rome"}}},
		{name: "JSON Lines", file: "a.jsonl", text: "{\"prompt\":\" a \",\"answer\":12,\"memory\":\"m\"}\r\n\n{\"answer\":\"x\",\"prompt\":\"b\",\"memory\":\"\"}\n",
			want: []row{{TwoHop: " a ", Explicit: "m", Answer: "12"}, {TwoHop: "b", Answer: "x"}}},
		{name: "no answer", file: "a.csv", text: "prompt,response\na,b\n", err: "want the columns obscure_sentence (or prompt) and answer, found prompt, response"},
		{name: "empty answer", file: "a.csv", text: "prompt,answer\na,b\nc,\n", err: "prompt 1: answer is empty"},
		{name: "nothing", file: "a.csv", text: "", err: "the file is empty"},
		{name: "a header alone", file: "a.csv", text: "prompt,answer\n", err: "the file has no prompts"},
		{name: "a short line", file: "a.csv", text: "prompt,answer\na\n", err: "record on line 2: wrong number of fields"},
		{name: "another encoding", file: "a.csv", text: "prompt,answer\n\"a\nb\",c\nWo,Z\xfcrich\n", err: "line 4: bytes that are not UTF-8"},
		{name: "two of a name", file: "a.csv", text: "prompt,answer,answer\na,b,c\n", err: `two columns are named "answer"`},
		{name: "not JSON", file: "a.jsonl", text: "{\"prompt\":\"a\",\"answer\":\"b\"}\nprompt\n", err: "line 2: want a JSON object"},
		{name: "a key twice", file: "a.jsonl", text: "{\"prompt\":\"a\",\"answer\":\"b\"}\n{\"prompt\":\"a\",\"answer\":\"b\",\"prompt\":\"c\"}\n", err: `line 2: want a JSON object: the key "prompt" is there twice`},
		{name: "an array", file: "a.jsonl", text: "[1]\n", err: "line 1: want a JSON object: found ["},
		{name: "two objects on a line", file: "a.jsonl", text: "{\"prompt\":\"a\",\"answer\":\"b\"} {}\n", err: `line 1: want a JSON object: found "{}" after it`},
		{name: "another encoding in JSON", file: "a.jsonl", text: "{\"prompt\":\"a\",\"answer\":\"b\"}\n\n{\"prompt\":\"\xfc\",\"answer\":\"b\"}\n", err: "line 3: bytes that are not UTF-8"},
		{name: "a missing key", file: "a.jsonl", text: "{\"prompt\":\"a\",\"answer\":\"b\"}\n{\"prompt\":\"a\"}\n", err: `line 2: "answer" is missing, but line 1 has it`},
		{name: "the same prompt twice", file: "a.csv", text: "prompt,answer\nWhere,Rome\nWhere,Rome\n", want: []row{{TwoHop: "Where", Answer: "Rome"}, {TwoHop: "Where", Answer: "Rome"}}},
		{name: "a line of 10 MB", file: "a.csv", text: "prompt,answer\nWhere," + strings.Repeat("x", 10_000_000) + "\n", want: []row{{TwoHop: "Where", Answer: strings.Repeat("x", 10_000_000)}}},
		{name: "a line of 20 MB", file: "a.csv", text: "prompt,answer\nWhere," + strings.Repeat("x", 20_000_000) + "\n", err: "want rows of at most 16 MiB, got more"},
		{name: "a line of 20 MB in JSON", file: "a.jsonl", text: "{\"prompt\":\"a\",\"answer\":\"b\"}\n{\"prompt\":\"" + strings.Repeat("x", 20_000_000) + "\"}\n", err: "line 2: want at most 16 MiB, got more"},
		{name: "an empty prompt", file: "a.csv", text: "prompt,answer\n,b\n", err: "prompt 0: prompt is empty"},
		{name: "a mark and carriage returns in JSON", file: "a.jsonl", text: "\ufeff{\"prompt\":\"a\",\"answer\":\"b\"}\r\n", want: []row{{TwoHop: "a", Answer: "b"}}},
		{name: "another type", file: "a.xlsx", text: "x", err: `files of type ".xlsx" cannot be read: want .csv or .jsonl`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ReadData(write(t, tt.file, tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []row
			for i, r := range d.Rows {
				if r.Index != i {
					t.Errorf("row %d has index %d", i, r.Index)
				}
				got = append(got, row{r.TwoHop, r.OneHop, r.ExplicitEntity, r.ObscureEntity, r.Answer})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := ReadData(filepath.Join(t.TempDir(), "none.csv")); err == nil {
		t.Error("a missing file was read")
	}
}

func TestDataColumn(t *testing.T) {
	d, err := ReadData(write(t, "d.csv", "prompt,answer,hint\na,b,c\nd,e,\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Column("hint"); err != nil || !cmp.Equal(got, []string{"c", ""}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := d.Column("memory"); err == nil || !strings.Contains(err.Error(), `no column "memory" in d.csv, it has prompt, answer, hint`) {
		t.Errorf("got %v", err)
	}
}

// Of a large file only what is evaluated is kept, and the parts that are not are checked and counted all the same. Draws are those
// of the whole file.
func TestReadDataInPart(t *testing.T) {
	var b strings.Builder
	b.WriteString("prompt,memory,answer\n")
	for i := range 300_000 {
		fmt.Fprintf(&b, "%0100d,%d,x\n", i, i)
	}
	path := write(t, "d.csv", b.String())
	words := write(t, "w.txt", "a\nb\nc\n")
	whole, err := ReadData(path)
	if err != nil {
		t.Fatal(err)
	}
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	few, err := readData(path, part{rows: 2})
	goruntime.GC()
	goruntime.ReadMemStats(&after)
	if err != nil || len(few.Rows) != 2 || few.Count != 300_000 || few.File != whole.File {
		t.Fatalf("%d of %d rows, %v, %v", len(few.Rows), few.Count, few.File, err)
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 1<<20 {
		t.Errorf("two rows hold %d bytes", kept)
	}
	some, err := readData(path, part{rows: 2, entities: true})
	if err != nil {
		t.Fatal(err)
	}
	whole.entities = some.entities
	for _, spec := range []string{"wrong", "random:" + words} {
		a, err := openSource(spec, sourceInput{data: whole, layers: 2, taus: 2})
		if err != nil {
			t.Fatal(err)
		}
		b, err := openSource(spec, sourceInput{data: some, layers: 2, taus: 2})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			if prompt, layer, tau := i%2, i/2%2, i/4; a.at(prompt, layer, tau)[0].Text != b.at(prompt, layer, tau)[0].Text {
				t.Errorf("%s: prompt %d, layer %d, tau %d draws another memory", spec, prompt, layer, tau)
			}
		}
	}
	if err := os.WriteFile(path, []byte(b.String()+"last,,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readData(path, part{rows: 2}); err == nil || !strings.Contains(err.Error(), "prompt 300000: answer is empty") {
		t.Errorf("got %v", err)
	}
}
