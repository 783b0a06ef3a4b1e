package published_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/published"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

const columns = ",explicit_sentence,obscure_sentence,explicit_entity,obscure_entity,answer,answer_prob_exp,answer_prob_obs"

// folder writes files below a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The folders of the authors' repository, as far as their names identify the set.
func TestOpen(t *testing.T) {
	curated := func(p string) string {
		return columns + ",ans_prob_obs_edit_layer0,topk_tok_obs_edit_layer0,ans_prob_obs_edit_layer1,topk_tok_obs_edit_layer1\n" +
			"0,one,\"two, \"\"2\"\" \",E,O, A,0.5,0.25," + p + ",\"[3, 1]\",0,[]\n" +
			"1,one,dvě,É,O, B,,0.125,,\"[2, 4]\",1.0000001,[7]\n"
	}
	dir := folder(t, map[string]string{
		"tweak/data/gpt2-xl/memory_tweaker_embed_head_hook/tweak_10.csv":                       curated("0.75"),
		"tweak/data/gpt2-xl/memory_tweaker_embed_head_hook/tweak_2.csv":                        curated("0.5"),
		"tweak/data/gpt2-xl/memory_tweaker_embed_head_hook/notes.csv":                          "not ours",
		"tweak/multi_1000/EleutherAI/gpt-neo-125M/memory_layer_encoding_hook/tweak_1.csv":      curated("0.5"),
		"tweak/multi_1000/EleutherAI/gpt-neo-125M/memory_layer_encoding_hook_copy/tweak_1.csv": "not ours",
		"fake/gpt2-small_hand_fake_inject_layer7_tweak3_nouns.csv":                             columns + ",ans_prob_obs_edit_subject_time,ans_prob_obs_edit_subject_and/or\n0,,q,E,O, A,0.5,0.25,0.5,0.125\n",
		"fake/gpt2-small_hand_fake_inject_layer7_tweak3_verbs.csv":                             columns + ",ans_prob_obs_edit_subject_be\n0,,q,E,O, A,0.5,0.25,1\n",
		"fake/gpt2-large_hand_fake_inject_layer14_tweak10_verbs.csv":                           columns + ",ans_prob_obs_edit_subject_be\n0,,q,E,O, A,0.5,0.25,1\n",
		"pos/gpt2-small/2wmh/top_5000/gpt2-small_2wmh_pos_inject_tweakFactor_15.csv":           columns + ",ans_prob_obs_edit_layer3,injected_memory_layer_3\n0,,q,E,O, A,0.5,0.25,1,word\n",
	})
	runs, err := published.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ln := math.Log
	s := func(p float64, top ...int64) results.Score { return results.Score{LogP: ln(p), Rank: -1, Top: top} }
	nan := results.Score{LogP: math.NaN(), Rank: -1, Status: results.NaN}
	manifest := func(model, data, encoding string, layers []int, taus []float64, prompts, top, modelLayers int, sources ...string) *results.Manifest {
		m := &results.Manifest{
			Version: 1, Tool: "published with arXiv 2309.05605", Model: results.Model{Name: model, Layers: modelLayers}, Data: results.File{Name: data},
			Prompts: prompts, Layers: layers, Taus: taus, Encoding: encoding, Convention: "tl-folded", Positions: "all", Texts: memory.PaperTexts,
			Top: top, Shard: results.Shard{Of: 1}, Plan: results.Plan{Used: "points"}, Host: results.Host{Name: "TransformerLens"},
		}
		for _, s := range sources {
			m.Memories = append(m.Memories, results.Source{Name: s})
		}
		return m
	}
	q := []results.Prompt{{TwoHop: "q", ExplicitEntity: "E", ObscureEntity: "O", Answer: "A", AnswerID: -1, Clean: s(0.25), Ceiling: s(0.5)}}
	two := []results.Prompt{
		{TwoHop: `two, "2" `, OneHop: "one", ExplicitEntity: "E", ObscureEntity: "O", Answer: "A", AnswerID: -1, Clean: s(0.25), Ceiling: s(0.5)},
		{Index: 1, TwoHop: "dvě", OneHop: "one", ExplicitEntity: "É", ObscureEntity: "O", Answer: "B", AnswerID: -1, Clean: s(0.125), Ceiling: nan},
	}
	c := func(prompt, layer int, tau float64, source, memory string, s results.Score, top ...int64) results.Cell {
		s.Top = top
		return results.Cell{Prompt: prompt, Layer: layer, Tau: tau, Source: source, Memory: memory, Score: s}
	}
	want := []*results.Run{
		{
			Manifest: manifest("gpt2-large", hand, "unembed", []int{14}, []float64{10}, 1, 0, 0, "file:verbs"),
			Prompts:  q, Cells: []results.Cell{c(0, 14, 10, "file:verbs", "be", s(1))},
		},
		{
			Manifest: manifest("gpt2-small", hand, "unembed", []int{7}, []float64{3}, 1, 0, 0, "file:nouns", "file:verbs"), Prompts: q,
			Cells: []results.Cell{c(0, 7, 3, "file:nouns", "time", s(0.5)), c(0, 7, 3, "file:nouns", "and/or", s(0.125)), c(0, 7, 3, "file:verbs", "be", s(1))},
		},
		{
			Manifest: manifest("gpt2-small", wiki, "unembed", []int{3}, []float64{15}, 1, 0, 1, "random:top_5000"), Prompts: q,
			Cells: []results.Cell{c(0, 3, 15, "random:top_5000", "word", s(1))},
		},
		{
			Manifest: manifest("gpt2-xl", hand, "embed", []int{0, 1}, []float64{2, 10}, 2, 2, 2, "curated"), Prompts: two,
			Cells: []results.Cell{
				c(0, 0, 2, "curated", "E", s(0.5), 3, 1), c(0, 0, 10, "curated", "E", s(0.75), 3, 1),
				c(0, 1, 2, "curated", "E", s(0)), c(0, 1, 10, "curated", "E", s(0)),
				c(1, 0, 2, "curated", "É", nan, 2, 4), c(1, 0, 10, "curated", "É", nan, 2, 4),
				c(1, 1, 2, "curated", "É", s(1), 7), c(1, 1, 10, "curated", "É", s(1), 7),
			},
		},
		{
			Manifest: manifest("EleutherAI/gpt-neo-125M", wiki, "layer", []int{0, 1}, []float64{1}, 2, 2, 2, "curated"), Prompts: two,
			Cells: []results.Cell{
				c(0, 0, 1, "curated", "E", s(0.5), 3, 1), c(0, 1, 1, "curated", "E", s(0)),
				c(1, 0, 1, "curated", "É", nan, 2, 4), c(1, 1, 1, "curated", "É", s(1), 7),
			},
		},
	}
	for _, r := range want {
		for i := range r.Cells {
			r.Cells[i].Encoding = r.Manifest.Encoding
		}
	}
	if d := cmp.Diff(want, runs, cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(results.Run{}, "Dir")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestErrors(t *testing.T) {
	const hook = "gpt2-small-hand/memory_layer_encoding_hook/"
	const layer = columns + ",ans_prob_obs_edit_layer0,topk_tok_obs_edit_layer0\n"
	const good = layer + "0,one,two,E,O, A,0.5,0.25,0.5,[1]\n"
	tests := []struct {
		name  string
		files map[string]string
		want  []string // parts of the error
	}{
		{"nothing", map[string]string{"a/b.csv": ""}, []string{"find published results", "tweak_TAU.csv"}},
		{"empty", map[string]string{hook + "tweak_1.csv": ""}, []string{"tweak_1.csv", "the file is empty"}},
		{"pointer", map[string]string{hook + "tweak_1.csv": "version https://git-lfs.github.com/spec/v1\n"}, []string{"tweak_1.csv", "this is a Git LFS pointer"}},
		{"no column", map[string]string{hook + "tweak_1.csv": "one,two\n"}, []string{"tweak_1.csv", `want a column "", found ["one" "two"]`}},
		{"no layers", map[string]string{hook + "tweak_1.csv": columns + "\n"}, []string{"tweak_1.csv", `want a column "ans_prob_obs_edit_layer0"`}},
		{"no layer", map[string]string{hook + "tweak_1.csv": columns + ",ans_prob_obs_edit_layerX\n"}, []string{`column "ans_prob_obs_edit_layerX"`, `found "X"`}},
		{"column twice", map[string]string{hook + "tweak_1.csv": columns + ",answer\n"}, []string{`column "answer" appears twice`}},
		{"short row", map[string]string{hook + "tweak_1.csv": layer + "0,one\n"}, []string{"tweak_1.csv", "line 2", "wrong number of fields"}},
		{"row number", map[string]string{hook + "tweak_1.csv": layer + "1,one,two,E,O, A,0.5,0.25,0.5,[1]\n"}, []string{`line 2, column "": want the row number 0, found "1"`}},
		{"clean", map[string]string{hook + "tweak_1.csv": layer + "0,one,two,E,O, A,0.5,x,0.5,[1]\n"}, []string{`line 2, column "answer_prob_obs": want a probability, found "x"`}},
		{"one-hop", map[string]string{hook + "tweak_1.csv": layer + "0,one,two,E,O, A,-1,0.25,0.5,[1]\n"}, []string{`column "answer_prob_exp": want a probability, found "-1"`}},
		{"probability", map[string]string{hook + "tweak_1.csv": good + "1,one,\"tw\no\",E,O, A,0.5,0.25,1.5,[1]\n"},
			[]string{`line 4, column "ans_prob_obs_edit_layer0": want a probability, found "1.5"`}},
		{"tokens", map[string]string{hook + "tweak_1.csv": layer + "0,one,two,E,O, A,0.5,0.25,0.5,\"[1, x]\"\n"},
			[]string{`line 2, column "topk_tok_obs_edit_layer0": want a list of token ids, found "[1, x]"`}},
		{"no brackets", map[string]string{hook + "tweak_1.csv": layer + "0,one,two,E,O, A,0.5,0.25,0.5,1\n"}, []string{`want a list of token ids, found "1"`}},
		{"fewer rows", map[string]string{hook + "tweak_1.csv": good, hook + "tweak_2.csv": layer}, []string{"tweak_2.csv", "the file has 0 rows; the first file of its set has 1"}},
		{"more rows", map[string]string{hook + "tweak_1.csv": layer, hook + "tweak_2.csv": good}, []string{"tweak_2.csv", "more rows"}},
		{"other prompt", map[string]string{hook + "tweak_1.csv": good, hook + "tweak_2.csv": strings.Replace(good, "two", "deux", 1)},
			[]string{"tweak_2.csv", `row 0: prompt "deux", answer "A"; in the first file of its set: prompt "two", answer "A"`}},
		{"other model", map[string]string{hook + "tweak_1.csv": good, hook + "tweak_2.csv": strings.Replace(good, "0.25", "0.26", 1)},
			[]string{"tweak_2.csv", `row 0, column "answer_prob_obs": 0.26; in the first file of its set: 0.25`}},
		{"no words", map[string]string{"m_hand_fake_inject_layer7_tweak3_nouns.csv": columns + "\n"}, []string{"nouns.csv", "for each word"}},
		{"no drawn words", map[string]string{"m_hand_pos_inject_tweakFactor_1.csv": columns + ",ans_prob_obs_edit_layer0\n0,one,two,E,O, A,0.5,0.25,0.5\n"},
			[]string{"tweakFactor_1.csv", `want a column "injected_memory_layer_0"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := published.Open(folder(t, tt.files))
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("want %q in the error, got: %v", part, err)
				}
			}
			if advice := hint.Of(err); (advice != "") != (tt.name == "nothing") {
				t.Errorf("hint %q", advice)
			}
		})
	}
	if _, err := published.Open(filepath.Join(t.TempDir(), "absent")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a missing folder: %v", err)
	}
}
