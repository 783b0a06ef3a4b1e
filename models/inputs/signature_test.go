package inputs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// rolesOf formats a signature as one line. "past x6" means six in a row.
func rolesOf(in *Signature) string {
	var out []string
	for i := 0; i < len(in.Roles); {
		n := i
		for n < len(in.Roles) && in.Roles[n].Role == in.Roles[i].Role {
			n++
		}
		s := string(in.Roles[i].Role)
		if n-i > 1 {
			s = fmt.Sprintf("%s x%d", s, n-i)
		}
		out = append(out, s)
		i = n
	}
	return strings.Join(out, ", ")
}

var fixtureRoles = map[string]string{
	"dynamo-op18-sdpa":        "tokens, mask",
	"dynamo-op23-attention":   "tokens, mask",
	"fp16":                    "tokens, mask",
	"gpt-j":                   "tokens, mask",
	"gpt-neo":                 "tokens, mask",
	"nanogpt-torchscript":     "tokens",
	"onnxslim":                "tokens, mask",
	"optimum-1-merged":        "tokens, mask, past x6, cache branch",
	"optimum-1-with-past":     "tokens, past x6, mask",
	"optimum-2-cache":         "tokens, past x6, mask, positions",
	"ort-fused-attention":     "tokens, positions, mask, past x3",
	"ort-fused-skiplayernorm": "tokens, mask",
	"ort-int8-dynamic":        "tokens, mask",
	"q4-with-past":            "tokens, past x6, mask",
	"torchscript-op10":        "tokens",
	"torchscript-op17-mask":   "tokens, mask",

	"families/dynamo18-opt":           "tokens, mask",
	"families/dynamo18-qwen2.5":       "tokens, mask",
	"families/dynamo23-llama":         "tokens, mask, positions",
	"families/genai-int4-qwen2-q4":    "tokens, mask, past x4",
	"families/genai-llama3/model":     "tokens, mask, past x4",
	"families/genai09-gemma3-local":   "tokens, mask, past x4",
	"families/genai09-granite":        "tokens, mask, past x4",
	"families/genai09-int4-qwen3-q4":  "tokens, mask, past x4",
	"families/optimum-bigcode/model":  "tokens, past x4, mask, positions",
	"families/optimum-bloom":          "tokens, past x4, mask",
	"families/optimum-cohere":         "tokens, mask, positions, past x4",
	"families/optimum-falcon":         "tokens, past x4, mask, positions",
	"families/optimum-gemma2":         "tokens, mask, past x4",
	"families/optimum-int8-neox":      "tokens, mask, positions, past x4",
	"families/optimum-llama":          "tokens, mask, positions, past x4",
	"families/optimum-olmo2":          "tokens, mask, positions, past x4",
	"families/optimum-phi":            "tokens, mask, positions, past x4",
	"families/optimum-phi3":           "tokens, mask, positions, past x4",
	"families/optimum-q4f16-qwen3-q4": "tokens, mask, positions, past x4",
	"families/optimum-smollm3":        "tokens, mask, positions, past x6",
	"families/optimum-stablelm":       "tokens, mask, positions, past x4",
}

// Roles must follow from structure: inputs with meaningless names in shuffled graphs must get the same roles.
func TestReadInputs(t *testing.T) {
	for _, dir := range []string{"", "families"} {
		for _, c := range cases(t, dir) {
			if name := strings.TrimSuffix(filepath.Join(dir, c), ".onnx"); fixtureRoles[name] == "" {
				t.Errorf("%s: no roles are expected of it", name)
			}
		}
	}
	for name, want := range fixtureRoles {
		for _, anonymous := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/anonymous=%v", name, anonymous), func(t *testing.T) {
				m, l := located(t, name)
				if anonymous {
					e := m.Edit()
					for i, v := range m.Graph.Inputs() {
						e.Rename(v, fmt.Sprintf("in%d", i))
					}
					if err := e.Commit(); err != nil {
						t.Fatal(err)
					}
					graphtest.RenameAll(t, m, 1)
					graphtest.Shuffle(t, m, 1)
					var err error
					if l, err = recognise.Locate(t.Context(), m, &models.Config{Heads: l.Heads}); err != nil {
						t.Fatal(err)
					}
				}
				in, err := Read(m, l)
				if err != nil {
					t.Fatal(err)
				}
				if got := rolesOf(in); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				one := strings.HasSuffix(name, "with-past")
				if (in.Length == 1) != one || in.Length > 1 || in.Batch != 0 {
					t.Errorf("fixed batch %d, length %d", in.Batch, in.Length)
				}
				prompt := [][]int64{{5, 17, 90}, {1, 2, 3}}
				if one {
					prompt = [][]int64{{5}, {1}}
				}
				feeds, err := in.Feeds(prompt)
				if err != nil {
					t.Fatal(err)
				}
				checkFeeds(t, m, feeds)
				checkCache(t, m, in, name, anonymous)
			})
		}
	}
}

// checkCache requires that every cache input is continued by the output that exporters name after it, whatever the names are.
func checkCache(t *testing.T, m *graph.Model, in *Signature, name string, anonymous bool) {
	t.Helper()
	carries, err := in.Cache()
	if err != nil {
		t.Fatal(err)
	}
	pasts := 0
	for _, r := range in.Roles {
		if r.Role == RolePast {
			pasts++
		}
	}
	if len(carries) != pasts {
		t.Errorf("%d carries of %d cache inputs", len(carries), pasts)
	}
	outputs := m.Graph.Outputs()
	for i, c := range carries {
		want := strings.NewReplacer("past_key_values", "present", "past_", "present_").Replace(c.Past)
		if anonymous {
			want = outputs[len(outputs)-pasts+i].Name()
		}
		if c.Present != want || c.InPlace != strings.HasPrefix(name, "families/genai") {
			t.Errorf("%q is continued by %q (in place: %v), want %q", c.Past, c.Present, c.InPlace, want)
		}
	}
}

// checkFeeds compares feeds with the declarations of the graph: every input, its element type, its fixed sizes, and one
// size for each named dimension.
func checkFeeds(t *testing.T, m *graph.Model, feeds map[string]*graph.Tensor) {
	t.Helper()
	if len(feeds) != len(m.Graph.Inputs()) {
		t.Errorf("%d feeds for %d inputs", len(feeds), len(m.Graph.Inputs()))
	}
	sizes := map[string]int64{}
	for _, v := range m.Graph.Inputs() {
		x := feeds[v.Name()]
		if x == nil || x.DType != v.Type().DType || len(x.Dims) != len(v.Type().Dims) {
			t.Errorf("input %v %v is fed %v", v, v.Type(), x)
			continue
		}
		if n, err := graph.ByteSize(x.DType, x.Dims); err != nil || n != int64(len(x.Data)) {
			t.Errorf("input %v: %d bytes for %v%v", v, len(x.Data), x.DType, x.Dims)
		}
		for i, d := range v.Type().Dims {
			if d.Size < 0 && d.Name != "" && !strings.HasPrefix(d.Name, "s") { // the dynamo fixtures name one size both s72 and s43
				if _, ok := sizes[d.Name]; !ok {
					sizes[d.Name] = x.Dims[i]
				}
				d.Size = sizes[d.Name]
			}
			if d.Size >= 0 && d.Size != x.Dims[i] {
				t.Errorf("input %v %v is fed %v", v, v.Type(), x.Dims)
			}
		}
	}
}

// values formats the numbers of a feed for comparison.
func values(t *testing.T, x *graph.Tensor) string {
	t.Helper()
	if x == nil {
		return "none"
	}
	if x.DType.IsFloat() {
		f, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%v%v%v", x.DType, x.Dims, f)
	}
	n, err := x.Int64s()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%v%v%v", x.DType, x.Dims, n)
}

func TestFeeds(t *testing.T) {
	prompt := [][]int64{{5, 17, 90}, {1, 2, 3}}
	for _, test := range []struct {
		fixture string
		want    map[string]string
	}{
		{"nanogpt-torchscript", map[string]string{"input_ids": "int64[2 3][5 17 90 1 2 3]"}},
		{"optimum-1-merged", map[string]string{
			"input_ids":             "int64[2 3][5 17 90 1 2 3]",
			"attention_mask":        "int64[2 3][1 1 1 1 1 1]",
			"past_key_values.0.key": "float32[2 4 0 8][]", "past_key_values.0.value": "float32[2 4 0 8][]",
			"past_key_values.1.key": "float32[2 4 0 8][]", "past_key_values.1.value": "float32[2 4 0 8][]",
			"past_key_values.2.key": "float32[2 4 0 8][]", "past_key_values.2.value": "float32[2 4 0 8][]",
			"use_cache_branch": "bool[1][0]",
		}},
		{"ort-fused-attention", map[string]string{
			"input_ids":      "int32[2 3][5 17 90 1 2 3]",
			"position_ids":   "int32[2 3][0 1 2 0 1 2]",
			"attention_mask": "int32[2 3][1 1 1 1 1 1]",
			"past_0":         "float32[2 2 4 0 8][]", "past_1": "float32[2 2 4 0 8][]", "past_2": "float32[2 2 4 0 8][]",
		}},
	} {
		t.Run(test.fixture, func(t *testing.T) {
			m, l := located(t, test.fixture)
			in, err := Read(m, l)
			if err != nil {
				t.Fatal(err)
			}
			feeds, err := in.Feeds(prompt)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for name, x := range feeds {
				got[name] = values(t, x)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// These are forms that no fixture has: changed types of a fixture's inputs, and added inputs.
func TestFeedsOtherForms(t *testing.T) {
	retype := func(name string, d graph.DType, dims ...any) func(*graph.Model, *graph.Edit) {
		return func(m *graph.Model, e *graph.Edit) { e.Retype(m.Graph.Lookup(name), graph.TensorType(d, dims...)) }
	}
	pasts := func(dims ...any) func(*graph.Model, *graph.Edit) {
		return func(m *graph.Model, e *graph.Edit) {
			for _, v := range m.Graph.Inputs() {
				if v.Type().DType.IsFloat() {
					e.Retype(v, graph.TensorType(graph.Float32, dims...))
				}
			}
		}
	}
	add := func(name string, d graph.DType, dims ...any) func(*graph.Model, *graph.Edit) {
		return func(m *graph.Model, e *graph.Edit) { e.Input(name, graph.TensorType(d, dims...)) }
	}
	joinedAt := func(axis int64, dims ...any) func(*graph.Model, *graph.Edit) {
		return func(m *graph.Model, e *graph.Edit) {
			pasts(dims...)(m, e)
			for _, v := range m.Graph.Inputs() {
				for _, u := range v.Uses() {
					if u.Node.Is("Concat") && v.Type().DType.IsFloat() {
						e.SetAttr(u.Node, "axis", axis)
					}
				}
			}
		}
	}
	feedsSlots := func(slot int, typ graph.Type) func(*graph.Model, *graph.Edit) {
		return func(m *graph.Model, e *graph.Edit) {
			v := e.Input(fmt.Sprintf("slot%d", slot), typ)
			for _, n := range m.Graph.Nodes() {
				if n.Is("com.microsoft.GroupQueryAttention") {
					e.Redirect(graph.Use{Node: n, Slot: slot}, v)
				}
			}
		}
	}
	keeps := func(typ graph.Type) func(*graph.Model, *graph.Edit) {
		return func(m *graph.Model, e *graph.Edit) {
			v := e.Input("keep", typ)
			i := slices.IndexFunc(m.Graph.Nodes(), func(n *graph.Node) bool { return n.Out(0).IsOutput() })
			product := m.Graph.Nodes()[i]
			ints := func(name string, x ...int64) *graph.Value {
				return e.Const(m.Graph, name, graph.NewInt64(x, int64(len(x))))
			}
			start := e.Node(m.Graph, graph.Spec{Op: "Neg", Inputs: []*graph.Value{v}, Type: typ})
			if len(typ.Dims) == 0 {
				start = e.Node(m.Graph, graph.Spec{Op: "Reshape", Inputs: []*graph.Value{start, ints("one_number", 1)}, Type: graph.TensorType(graph.Int64, 1)})
			}
			last := e.Node(m.Graph, graph.Spec{Op: "Slice", Inputs: []*graph.Value{product.In(0), start, ints("end", 1<<62), ints("axis", 1)}, Type: product.In(0).Type()})
			e.Redirect(graph.Use{Node: product, Slot: 0}, last)
		}
	}
	secondMask := func(name string) func(*graph.Model, *graph.Edit) {
		return func(m *graph.Model, e *graph.Edit) {
			mask := m.Graph.Lookup("attention_mask")
			uses := mask.Uses()
			second := e.Input(name, graph.TensorType(graph.Int64, "b", "s"))
			both := e.Node(m.Graph, graph.Spec{Op: "Mul", Inputs: []*graph.Value{mask, second}, Type: second.Type()})
			for _, u := range uses {
				e.Redirect(u, both)
			}
		}
	}
	one, two := [][]int64{{5, 17, 90}}, [][]int64{{5, 17, 90}, {1, 2, 3}}
	for _, test := range []struct {
		name    string
		fixture string
		change  func(*graph.Model, *graph.Edit)
		prompt  [][]int64
		input   string // "" if an error is expected
		want    string // the feed, or the error
		hint    string
	}{
		{"tokens without batch", "torchscript-op10", retype("input_ids", graph.Int64, "seq"), one, "input_ids", "int64[3][5 17 90]", ""},
		{"two rows without batch", "torchscript-op10", retype("input_ids", graph.Int64, "seq"), two, "", "cannot hold 2 rows of 3", ""},
		{"tokens of rank 3", "torchscript-op10", retype("input_ids", graph.Int64, "b", "n", "s"), two, "input_ids", "int64[2 1 3][5 17 90 1 2 3]", ""},
		{"tokens of no rank", "torchscript-op10", func(m *graph.Model, e *graph.Edit) {
			e.Retype(m.Graph.Lookup("input_ids"), graph.Type{DType: graph.Int64})
		}, two, "input_ids", "int64[2 3][5 17 90 1 2 3]", ""},
		{"fixed length met", "torchscript-op10", retype("input_ids", graph.Int64, 1, 3), one, "input_ids", "int64[1 3][5 17 90]", ""},
		{"fixed length", "torchscript-op10", retype("input_ids", graph.Int64, 1, 128), one, "", "the file takes exactly 128 tokens, the text has 3", "dynamic length"},
		{"fixed batch", "torchscript-op10", retype("input_ids", graph.Int64, 1, "seq"), two, "", "the file takes exactly 1 rows, the batch has 2", "dynamic batch"},
		{"one at a time", "optimum-1-with-past", nil, one, "", "the file takes one token at a time, the text has 3", "decoder_model_merged.onnx"},
		{"float mask", "torchscript-op17-mask", retype("attention_mask", graph.Float32, "b", "s"), one, "attention_mask", "float32[1 3][1 1 1]", ""},
		{"bool mask", "torchscript-op17-mask", retype("attention_mask", graph.Bool, "b", "s"), one, "attention_mask", "bool[1 3][1 1 1]", ""},
		{"mask of rank 4", "torchscript-op17-mask", retype("attention_mask", graph.Float32, "b", 1, "s", "s"), one, "", `unknown input "attention_mask" float32[b, 1, s, s]: a mask of four axes`, ""},
		{"one row of positions", "optimum-2-cache", retype("position_ids", graph.Int32, 1, "s"), two, "position_ids", "int32[1 3][0 1 2]", ""},
		{"positions without batch", "optimum-2-cache", retype("position_ids", graph.Int64, "s"), two, "position_ids", "int64[3][0 1 2]", ""},
		{"past with nothing declared", "optimum-2-cache", pasts("b", "h", "p", "d"), two, "past_key_values.0.key", "float32[2 4 0 8][]", ""},
		{"past with keys transposed", "optimum-2-cache", joinedAt(3, "b", 4, 8, "p"), two, "past_key_values.0.key", "float32[2 4 8 0][]", ""},
		{"past with positions before heads", "optimum-2-cache", joinedAt(1, "b", "p", "h", "d"), two, "past_key_values.0.key", "float32[2 0 4 8][]", ""},
		{"past with heads in one row", "optimum-2-cache", joinedAt(1, "b", "p", 32), two, "past_key_values.0.key", "float32[2 0 32][]", ""},
		{"past with keys and values in one row", "optimum-2-cache", joinedAt(1, "b", "p", 64), two, "past_key_values.0.key", "float32[2 0 64][]", ""},
		{"past with heads in the batch", "optimum-2-cache", joinedAt(1, "b", "p", 8), two, "past_key_values.0.key", "float32[8 0 8][]", ""},
		{"past with heads in the batch and keys transposed", "optimum-2-cache", joinedAt(2, "b", 8, "p"), two, "past_key_values.0.key", "float32[8 8 0][]", ""},
		{"past of another width", "optimum-2-cache", joinedAt(1, "b", "p", 48), two, "", `unknown input "past_key_values.0.key"`, ""},
		{"past of fewer heads, nothing declared", "families/genai-llama3/model", pasts("b", "h", "p", "kv_cache_dim"), two, "past_key_values.0.key", "float32[2 2 0 16][]", ""},
		{"past of another number of heads", "families/genai-llama3/model", pasts("b", 4, "p", 16), two, "", `unknown input "past_key_values.0.key"`, ""},
		{"past in float16", "families/optimum-q4f16-qwen3-q4", nil, two, "past_key_values.0.key", "float16[2 2 0 16][]", ""},
		{"last keys", "families/genai-llama3/model", feedsSlots(5, graph.TensorType(graph.Int32, "b")), two, "slot5", "int32[2][2 2]", ""},
		{"last keys of rank 2", "families/genai-llama3/model", feedsSlots(5, graph.TensorType(graph.Int32, "b", 1)), two, "slot5", "int32[2 1][2 2]", ""},
		{"number of keys", "families/genai-llama3/model", feedsSlots(6, graph.TensorType(graph.Int32)), two, "slot6", "int32[][3]", ""},
		{"number of keys of rank 1", "families/genai-llama3/model", feedsSlots(6, graph.TensorType(graph.Int32, 1)), two, "slot6", "int32[1][3]", ""},
		{"positions of an operator", "families/genai-llama3/model", feedsSlots(9, graph.TensorType(graph.Int64, "b", "s")), two, "slot9", "int64[2 3][0 1 2 0 1 2]", ""},
		{"kept positions", "torchscript-op10", keeps(graph.TensorType(graph.Int64)), two, "keep", "int64[][0]", ""},
		{"kept positions of rank 1", "torchscript-op10", keeps(graph.TensorType(graph.Int64, 1)), two, "keep", "int64[1][0]", ""},
		{"types of tokens in the mask", "torchscript-op17-mask", secondMask("token_type_ids"), two, "", `unknown input "token_type_ids" int64[b, s]: 2 inputs reach attention`, ""},
		{"two masks", "torchscript-op17-mask", secondMask("other_mask"), two, "", `2 inputs reach attention`, ""},
		{"past with a fixed batch", "optimum-2-cache", pasts(1, 4, "p", 8), two, "", "a cache of 1 rows, the batch has 2", ""},
		{"past with a fixed length", "optimum-2-cache", pasts("b", 4, 16, 8), two, "", "the cache has a fixed length of 16", "model.onnx"},
		{"scalar cache branch", "optimum-1-merged", retype("use_cache_branch", graph.Bool), one, "use_cache_branch", "bool[][0]", ""},
		{"unused", "torchscript-op10", add("token_type_ids", graph.Int64, "b", "s"), two, "token_type_ids", "int64[2 3][0 0 0 0 0 0]", ""},
		{"unknown", "torchscript-op10", func(m *graph.Model, e *graph.Edit) {
			v := e.Input("extra", graph.TensorType(graph.Float32, "b", "s", 32))
			e.Output(m.Graph, e.Node(m.Graph, graph.Spec{Op: "Neg", Inputs: []*graph.Value{v}, Type: v.Type()}))
		}, one, "", `unknown input "extra" float32[b, s, 32]: its purpose is unknown, so no value can be fed`, ""},
		{"rotary positions", "gpt-j", func(m *graph.Model, e *graph.Edit) {
			v := e.Input("position_ids", graph.TensorType(graph.Int64, "b", "s"))
			e.Output(m.Graph, e.Node(m.Graph, graph.Spec{Op: "Neg", Inputs: []*graph.Value{v}, Type: v.Type()}))
		}, two, "position_ids", "int64[2 3][0 1 2 0 1 2]", ""},
		{"no rows", "torchscript-op10", nil, nil, "", "no tokens", ""},
		{"no tokens", "torchscript-op10", nil, [][]int64{{}}, "", "no tokens", ""},
		{"ragged", "torchscript-op10", nil, [][]int64{{1, 2}, {1}}, "", "row 1 has 1 tokens, row 0 has 2", ""},
		{"token out of range", "torchscript-op10", nil, [][]int64{{131}}, "", "token 131: the vocabulary is 0 to 130", ""},
		{"negative token", "torchscript-op10", nil, [][]int64{{-1}}, "", "token -1", ""},
		{"too long", "torchscript-op10", nil, [][]int64{make([]int64, 49)}, "", "the text has 49 tokens, the model takes at most 48", ""},
		{"longest", "torchscript-op10", nil, [][]int64{make([]int64, 48)}, "input_ids", "int64[1 48]", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := load(t, test.fixture)
			if test.change != nil {
				e := m.Edit()
				test.change(m, e)
				if err := e.Commit(); err != nil {
					t.Fatal(err)
				}
			}
			l, err := recognise.Locate(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			in, err := Read(m, l)
			if err != nil {
				t.Fatal(err)
			}
			feeds, err := in.Feeds(test.prompt)
			got := values(t, feeds[test.input])
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) || (test.input == "") != (err != nil) || !strings.Contains(hint.Of(err), test.hint) {
				t.Errorf("got %s (hint %q), want %s (hint %q)", got, hint.Of(err), test.want, test.hint)
			}
		})
	}
}

// The branch that runs without a cache must be found, whichever it is.
func TestFeedsCacheBranch(t *testing.T) {
	m := load(t, "optimum-1-merged")
	i := slices.IndexFunc(m.Graph.Nodes(), func(n *graph.Node) bool { return n.Is("If") })
	branch := m.Graph.Nodes()[i]
	e := m.Edit()
	not := e.Node(m.Graph, graph.Spec{Op: "Not", Inputs: []*graph.Value{branch.In(0)}, Type: branch.In(0).Type()})
	e.Redirect(graph.Use{Node: branch, Slot: 0}, not)
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := Read(m, l)
	if err != nil {
		t.Fatal(err)
	}
	feeds, err := in.Feeds([][]int64{{1}})
	if err != nil {
		t.Fatal(err)
	}
	if got := values(t, feeds["use_cache_branch"]); got != "bool[1][1]" {
		t.Errorf("after a Not: %s", got)
	}
}

// Added ports are identified by the manifest.
func TestFeedsPorts(t *testing.T) {
	l := &models.Layout{Layers: 2, Heads: 4, DHead: 8, DModel: 32}
	man := models.NewManifest(l)
	man.Ports = []models.ManifestPort{models.PortAttnOut.Input(models.PortMemory).Manifest(1, l), models.PortAttnOut.Input(models.PortTau).Manifest(1, l), models.PortAttnOut.Output().Manifest(1, l)}
	m := withMeta(t, man.Encode())
	l, err := recognise.Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := Read(m, l)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rolesOf(in), "tokens, port x2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	feeds, err := in.Feeds([][]int64{{1, 2}, {3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	checkFeeds(t, m, feeds)
	if got := values(t, feeds["blocks.1.attn.memory"]); got != fmt.Sprintf("float32[1 1 32]%v", make([]float32, 32)) {
		t.Errorf("memory %s", got)
	}
	if got := values(t, feeds["blocks.1.attn.tau"]); got != "float32[1 1 1][0]" {
		t.Errorf("tau %s", got)
	}
	broken := withMeta(t, "{")
	if _, err := Read(broken, l); err == nil || !strings.Contains(err.Error(), "manifest") {
		t.Errorf("a broken manifest: %v", err)
	}
}

// Tokens that follow a cache get the positions after it, a mask of the whole text, and the branch that reads the cache.
func TestStep(t *testing.T) {
	tokens, earlier := [][]int64{{5, 17}}, 3
	for fixture, want := range map[string]map[string]string{
		"optimum-2-cache":             {"input_ids": "int64[1 2][5 17]", "attention_mask": "int64[1 5][1 1 1 1 1]", "position_ids": "int64[1 2][3 4]"},
		"optimum-1-merged":            {"input_ids": "int64[1 2][5 17]", "attention_mask": "int64[1 5][1 1 1 1 1]", "use_cache_branch": "bool[1][1]"},
		"ort-fused-attention":         {"input_ids": "int32[1 2][5 17]", "attention_mask": "int32[1 5][1 1 1 1 1]", "position_ids": "int32[1 2][3 4]"},
		"families/genai-llama3/model": {"input_ids": "int64[1 2][5 17]", "attention_mask": "int64[1 5][1 1 1 1 1]"},
	} {
		m, l := located(t, fixture)
		in, err := Read(m, l)
		if err != nil {
			t.Fatal(err)
		}
		feeds, err := in.Step(tokens, earlier)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, x := range feeds {
			got[name] = values(t, x)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", fixture, d)
		}
		if _, err := in.Step([][]int64{make([]int64, 1)}, 4096); l.NCtx > 0 && (err == nil || !strings.Contains(err.Error(), "the text has 4097 tokens")) {
			t.Errorf("%s: past the context: %v", fixture, err)
		}
		full, err := in.FullCache(1, 9)
		if err != nil {
			t.Fatal(err)
		}
		carries, err := in.Cache()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range carries {
			if x := full[c.Past]; x == nil || x.Dims[c.Axis] != 9 || int64(len(x.Data)) != 4*x.Len() {
				t.Errorf("%s: a cache of nine positions is %v", fixture, x)
			}
		}
	}
}
