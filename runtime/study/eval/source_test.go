package eval

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/study/published"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// dataOf returns data whose prompts have the given memories.
func dataOf(memories ...string) *Data {
	d := &Data{File: results.File{Name: "d.csv"}, Columns: []string{"prompt", "memory", "answer"}}
	for i, m := range memories {
		d.Count, d.entities = d.Count+1, append(d.entities, []string{m})
		d.Rows = append(d.Rows, Row{results.Prompt{Index: i, TwoHop: "p", Answer: "a", ExplicitEntity: m}, []string{"p", m, "a"}})
	}
	return d
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	words := file("words.txt", "\ufeffone\r\n two \n\none\nthree\n")
	table := file("table.csv", "Nouns,Verbs\ntime,be\nyear,\n")
	single := file("single.csv", "word\nx\n")
	vectors := filepath.Join(dir, "v.safetensors")
	if err := vector.Write(vectors, &vector.Vector{Name: "v", Data: []float32{1, 2}}, false); err != nil {
		t.Fatal(err)
	}
	in := sourceInput{data: dataOf("A", "B"), layers: 3, taus: 2}
	tests := []struct {
		spec, name string
		want       []string // memories of prompt 1
		err        string
	}{
		{spec: "curated", name: "curated", want: []string{"B"}},
		{spec: "column:memory", name: "column:memory", want: []string{"B"}},
		{spec: "text: Peru", name: "text: Peru", want: []string{" Peru"}},
		{spec: "text:a:b", name: "text:a:b", want: []string{"a:b"}},
		{spec: "wrong:text:x", name: "wrong:text:x", want: []string{"x"}},
		{spec: "text:", err: `memory "text:": want text:TEXT`},
		{spec: "text:\xff", err: "want UTF-8"},
		{spec: "none", name: "none", want: []string{""}},
		{spec: "wrong", name: "wrong", want: []string{"A"}},
		{spec: "file:" + words, name: "file:words.txt", want: []string{"one", " two ", "three"}},
		{spec: "file:" + table + "#Verbs", name: "file:table.csv#Verbs", want: []string{"be"}},
		{spec: "file:" + single, name: "file:single.csv", want: []string{"x"}},
		{spec: "file:" + vectors, name: "file:v.safetensors", want: []string{"v"}},
		{spec: "wrong:file:" + words, name: "wrong:file:words.txt", want: []string{"one", " two ", "three"}},
		{spec: "wrong:column:memory", name: "wrong:column:memory", want: []string{"A"}},
		{spec: "wrong:curious", err: `memory "curious": want one of`},
		{spec: "captured:memory", name: "captured:memory", want: []string{"B"}},
		{spec: "captured", err: `memory "captured": prompt 0 has no one-hop prompt`},
		{spec: "entity", name: "entity", want: []string{"B"}},
		{spec: "mean:" + single, name: "mean:single.csv", want: []string{"mean, texts: 1"}},
		{spec: "backpatch:2", name: "backpatch:2", want: []string{"blocks.2.hook_resid_post"}},
		{spec: "wrong:backpatch:2", name: "wrong:backpatch:2", want: []string{"blocks.2.hook_resid_post of prompt 0"}},
		{spec: "backpatch:3", err: `memory "backpatch:3": layer "3", the model has 0 to 2`},
		{spec: "curious", err: `memory "curious": want one of curated, none, wrong[:SOURCE], random:LIST, text:TEXT, column:NAME, file:PATH, captured[:COLUMN], entity, mean:FILE, backpatch:LAYER`},
		{spec: "curated:x", err: "curated takes no argument"},
		{spec: "random", err: "want random:LIST"},
		{spec: "column:hint", err: `no column "hint" in d.csv, it has prompt, memory, answer`},
		{spec: "random:" + table, err: "want table.csv#COLUMN with one of its columns: Nouns, Verbs"},
		{spec: "random:" + words + "#a", err: "words.txt has lines, not columns"},
		{spec: "file:" + filepath.Join(dir, "none.txt"), err: "no such file"},
		{spec: "file:" + file("latin1.txt", "one\nCura\xe7ao\n"), err: "latin1.txt: line 2: bytes that are not UTF-8"},
		{spec: "file:" + file("empty.txt", "\n\n"), err: "the list is empty"},
	}
	for _, tt := range tests {
		s, err := openSource(tt.spec, in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want %q", tt.spec, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for _, m := range s.at(1, 2, 0) {
			got = append(got, m.Text)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || s.Name != tt.name {
			t.Errorf("%s: name %q\n%s", tt.spec, s.Name, diff)
		}
	}
	if _, err := openSource("curated", sourceInput{data: dataOf("A", ""), layers: 1, taus: 1}); err == nil || !strings.Contains(err.Error(), "prompt 1 has none") {
		t.Errorf("a prompt without a memory: %v", err)
	}
	if _, err := openSource("wrong", sourceInput{data: dataOf("A", "A", "A", "B"), layers: 1, taus: 1}); err == nil || !strings.Contains(err.Error(), `half of the prompts or more have the memory "A"`) {
		t.Errorf("three of four alike: %v", err)
	}
}

// Wrong memories are the curated ones in another order; whenever possible, no prompt keeps its own text.
func TestWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "prompts")
		kinds := rapid.IntRange(2, n).Draw(t, "texts")
		var own []string
		counts := map[string]int{}
		most := 0
		for range n {
			m := fmt.Sprint(rapid.IntRange(1, kinds).Draw(t, "text"))
			own = append(own, m)
			counts[m]++
			most = max(most, counts[m])
		}
		s, err := openSource("wrong", sourceInput{data: dataOf(own...), layers: 1, taus: 1})
		if (err == nil) != (2*most <= n) {
			t.Fatalf("%v: %v", own, err)
		}
		if err != nil {
			return
		}
		for i := range own {
			m := s.at(i, 0, 0)[0].Text
			if counts[m]--; m == own[i] || counts[m] < 0 {
				t.Fatalf("prompt %d of %v has %q", i, own, m)
			}
		}
	})
}

// A word does not depend on the part of layers and prompts that is evaluated, and it equals CPython's draw.
func TestRandom(t *testing.T) {
	words := write(t, "words.txt", "a\nb\nc\nd\ne\n")
	s, err := openSource("random:"+words, sourceInput{data: dataOf("1", "2", "3"), layers: 2, taus: 2})
	if err != nil {
		t.Fatal(err)
	}
	// random.seed(42); [random.choice("abcde") for _ in range(12)]
	want := strings.Split("a a c b b b a e a e d a", " ")
	i := 0
	for tau := range 2 {
		for layer := range 2 {
			for prompt := range 3 {
				if got := s.at(prompt, layer, tau); len(got) != 1 || got[0].Text != want[i] {
					t.Errorf("draw %d is %v, want %s", i, got, want[i])
				}
				i++
			}
		}
	}
}

// Every word of the paper's published runs with random nouns is drawn again, at each tau, layer and prompt. The repository
// contains two taus; ONNX_INJECT_PAPER names a folder created by scripts/paper.sh, which has all 15.
func TestE10DrawsOfThePaper(t *testing.T) {
	paper := os.Getenv("ONNX_INJECT_PAPER")
	if paper == "" {
		paper = "../published/testdata/paper"
	}
	find := func(name string) string {
		for _, dir := range []string{paper, filepath.Join(paper, "data")} { // as in a checkout of the authors' repository
			if path := filepath.Join(dir, name); exists(path) {
				return path
			}
		}
		t.Fatalf("no %s in %s", name, paper)
		return ""
	}
	sets, err := published.Find(paper)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(sets, func(s published.Set) bool {
		return s.Model == "gpt2-small" && s.Data == "hand" && slices.Contains(s.Sources, "random:nouns")
	})
	if i < 0 {
		t.Fatalf("no runs with random nouns in %s", paper)
	}
	drawn, err := sets[i].Read()
	if err != nil {
		t.Fatal(err)
	}
	data, err := ReadData(find("handwritten_obscure_explicit_data.csv"))
	if err != nil {
		t.Fatal(err)
	}
	taus := len(drawn.Manifest.Taus)
	s, err := openSource("random:"+find("top_word_types.csv")+"#Nouns", sourceInput{data: data, layers: 12, taus: taus})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range drawn.Cells {
		if got := s.at(c.Prompt, c.Layer, int(c.Tau)-1)[0].Text; got != c.Memory {
			t.Fatalf("prompt %d, layer %d, tau %v: drew %q, published %q", c.Prompt, c.Layer, c.Tau, got, c.Memory)
		}
	}
	if n := len(drawn.Cells); taus < 2 || n != taus*12*106 {
		t.Errorf("%d cells at %d taus were compared", n, taus)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
