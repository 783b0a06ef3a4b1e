package eval

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// The further columns are those whose texts no prompt has.
func TestFurtherColumns(t *testing.T) {
	many := func(n int) (header, row string) {
		for i := range n {
			header, row = header+fmt.Sprintf(",c%d", i), row+","
		}
		return header, row
	}
	most, empty := many(mostColumns)
	mib := strings.Repeat("x", mostFurther)
	for _, tt := range []struct {
		name, file, text, column string
		names                    []string
		rows                     [][]string
		err                      string
	}{
		{name: "none", file: "a.csv", text: "prompt,memory,answer\na,b,c\n", rows: [][]string{{}}},
		{name: "some", file: "a.csv", text: "relation,prompt,memory,answer,note\nr,a,b,c,\n=1,a,b,c,n\n", names: []string{"relation", "note"}, rows: [][]string{{"r", ""}, {"=1", "n"}}},
		{name: "without a name", file: "a.csv", text: ",prompt,answer,,x\n0,a,b,1,y\n", names: []string{"x"}, rows: [][]string{{"y"}}},
		{name: "names of the results", file: "a.csv", text: "prompt,answer,rank,tau,data_tau,data\na,b,c,d,e,f\n",
			names: []string{"data_rank", "data_data_tau", "data_tau", "data_data"}, rows: [][]string{{"c", "d", "e", "f"}}},
		{name: "the prompts.csv of results", file: "a.csv", text: "prompt,answer,obscure_sentence,explicit_entity,relation,sha256\n0,a,b,c,d,e\n",
			names: []string{"data_prompt", "relation", "data_sha256"}, rows: [][]string{{"0", "d", "e"}}},
		{name: "another column of prompts", file: "a.csv", text: "prompt,question,answer\na,b,c\n", column: "question", names: []string{"data_prompt"}, rows: [][]string{{"a"}}},
		{name: "pairs", file: "a.csv", text: "prompt,memory,obscure_entity,memory_2,obscure_entity_2,memory_3,answer\na,b,c,d,e,f,g\n", names: []string{"memory_3"}, rows: [][]string{{"f"}}},
		{name: "JSON Lines", file: "a.jsonl", text: `{"prompt":"a","answer":"b","n":-1.50,"ok":true,"none":null,"tags":["x", 1]}` + "\n",
			names: []string{"n", "none", "ok", "tags"}, rows: [][]string{{"-1.50", "", "true", `["x", 1]`}}},
		{name: "a name that CSV changes", file: "a.jsonl", text: `{"prompt":"a","answer":"b","x\r\ny":1}` + "\n", err: `the name "x\r\ny" of a column contains a carriage return`},
		{name: "as many as there may be", file: "a.csv", text: "prompt,answer" + most + "\na,b" + empty + "\n", names: strings.Split(most[1:], ","), rows: [][]string{make([]string, mostColumns)}},
		{name: "too many", file: "a.csv", text: "prompt,answer,x" + most + "\na,b," + empty + "\n", err: "want at most 1000 columns besides those of the prompts, got 1001"},
		{name: "as long as they may be", file: "a.csv", text: "prompt,answer,x,y\na,b," + mib + ",\n", names: []string{"x", "y"}, rows: [][]string{{mib, ""}}},
		{name: "too long", file: "a.csv", text: "prompt,answer,x,y\na,b,c,d\na,b," + mib + ",y\n", err: "prompt 1: want at most 1 MiB in the columns besides those of the prompts, got 1048577 bytes"},
		{name: "names that are too long", file: "a.csv", text: "prompt,answer," + mib + ",y\na,b,c,d\n", err: "want at most 1 MiB for the names of all columns, got 1048577 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := readData(write(t, tt.file, tt.text), part{column: tt.column})
			if err != nil {
				t.Fatal(err)
			}
			names, err := d.keep()
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || hint.Of(err) == "" {
					t.Fatalf("got %v, hint %q, want %q", err, hint.Of(err), tt.err)
				}
				return
			}
			if err != nil || !slices.Equal(names, tt.names) {
				t.Fatalf("got %.200q, %v, want %.200q", names, err, tt.names)
			}
			var rows [][]string
			for i := range d.Rows {
				rows = append(rows, d.furtherOf(i))
			}
			if !cmp.Equal(rows, tt.rows) {
				t.Errorf("got %.200q, want %.200q", rows, tt.rows)
			}
		})
	}
}

// An evaluation keeps what the data has in them. Its parts together have the same rows, and so has one that was interrupted.
func TestKeepsColumns(t *testing.T) {
	c := world(t)
	data, err := os.ReadFile(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")[:5]
	for i := range lines {
		lines[i] += []string{",rank,=note", ",1,+1", ",2,\"a, \"\"b\"\"\"", ",3,", ",4,Zoë"}[i]
	}
	c.Data = write(t, "data.csv", strings.Join(lines, "\n")+"\n")
	c.Layers, c.Taus, c.Limit, c.Plan = []int{0}, []float64{1}, 0, "points"
	r, whole := run(t, c)
	if want := []string{"relation", "data_rank", "=note"}; !slices.Equal(whole.Manifest.Columns, want) || !slices.Equal(r.Renamed, []string{"rank is data_rank"}) {
		t.Errorf("columns %q, renamed %q", whole.Manifest.Columns, r.Renamed)
	}
	for name, want := range map[string][]string{"relation": {"capital", "capital", "capital", "currency"}, "data_rank": {"1", "2", "3", "4"}, "=note": {"+1", `a, "b"`, "", "Zoë"}} {
		if got, _ := whole.Column(name); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	rows := func(dir string) []string {
		b, err := os.ReadFile(filepath.Join(dir, results.PromptsFile))
		if err != nil {
			t.Fatal(err)
		}
		return strings.SplitAfter(strings.TrimSpace(string(b))+"\n", "\n")
	}
	all := rows(c.Dir)
	merged := slices.Clone(all[:1])
	for i := range 2 {
		part := c
		part.Shard, part.Dir = results.Shard{Index: i, Of: 2}, filepath.Join(t.TempDir(), "part")
		run(t, part)
		own := rows(part.Dir)
		if own[0] != all[0] {
			t.Errorf("part %d has the header %s", i, own[0])
		}
		merged = append(merged, own[1:len(own)-1]...)
	}
	slices.Sort(merged[1:])
	if d := cmp.Diff(all[:len(all)-1], merged); d != "" {
		t.Error(d)
	}
	path := filepath.Join(c.Dir, results.PromptsFile)
	before, _ := os.ReadFile(path)
	if err := os.WriteFile(path, before[:len(before)-70], 0o666); err != nil { // in the checksum of the last row, after the further columns
		t.Fatal(err)
	}
	if r, _ := run(t, c); r.Resumed != 3 || r.Done != 1 {
		t.Errorf("%d prompts were there and %d were computed", r.Resumed, r.Done)
	}
	if again, _ := os.ReadFile(path); string(again) != string(before) {
		t.Errorf("after an interruption there are other bytes:\n%s\n%s", again, before)
	}
	c.Data, c.Dir = write(t, "data.jsonl", `{"prompt":"a","answer":"b","x\ry":1}`+"\n"), t.TempDir()
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), `data.jsonl": the name "x\ry" of a column contains`) || hint.Of(err) != "rename the column" {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
}
