package rewrite

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// The last layer must compute only the last position: from W_O on if a file allows it, else from the join on, else nowhere.
// The numbers are the same in all three cases, so no other test would detect a lost saving.
func TestFanOutLastPosition(t *testing.T) {
	at := map[string]string{"ort-int8-dynamic": "", "optimum-int8-neox": "", "optimum-1-with-past": "refused", "q4-with-past": "refused"}
	for _, path := range fixtures(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		want, special := at[name]
		if !special {
			want = "W_O"
		}
		t.Run(name, func(t *testing.T) {
			if got := lastFrom(t, path); got != want {
				t.Errorf("one position from %q on, want %q", got, want)
			}
		})
	}
	for layer, want := range []string{"W_O", "W_O", "join"} { // the memory of an earlier rewrite may differ between positions
		t.Run(fmt.Sprintf("memory of layer %d", layer), func(t *testing.T) {
			if got := lastFrom(t, filepath.Join(testdata, "torchscript-op10.onnx"), layer); got != want {
				t.Errorf("one position from %q on, want %q", got, want)
			}
		})
	}
}

// attnOnly is the site of most tests.
var attnOnly = []models.PortKind{models.PortAttnOut}

// lastFrom makes a fan-out graph of a file with memories in some layers, and returns the place from which the last layer
// computes only the last position.
func lastFrom(t *testing.T, path string, memories ...int) string {
	t.Helper()
	m, l := load(t, path)
	if memories != nil {
		_, patched, err := Apply(t.Context(), m, l, Request{Inject: attn(memories...)})
		if err != nil {
			t.Fatal(err)
		}
		l = patched
	}
	if _, _, err := FanOut(t.Context(), m, l, Grid{Sites: attnOnly}); err != nil {
		return "refused"
	}
	from := ""
	for _, n := range m.Graph.Nodes() {
		switch {
		case n.Name() == "fanout/z_last":
			return "W_O"
		case strings.HasPrefix(n.Name(), "fanout/last_"):
			from = "join"
		}
	}
	return from
}

// A tied W_U must be multiplied in parts, and each part must be a range of the stored matrix.
func TestFanOutUnembedsInParts(t *testing.T) {
	m, l := load(t, filepath.Join("..", "models", "demo", "model.onnx"))
	if _, _, err := FanOut(t.Context(), m, l, Grid{Sites: attnOnly}); err != nil {
		t.Fatal(err)
	}
	parts, tokens := 0, int64(0)
	for _, n := range m.Graph.Nodes() {
		if n.Is("MatMul") && n.In(1).Producer().Is("Transpose") && strings.HasPrefix(n.Name(), "fanout/logits") {
			stored := n.In(1).Producer().In(0).Const()
			if _, large := stored.Span(); !large {
				t.Errorf("%s: the part is in memory, want it on disk", n.Name())
			}
			parts, tokens = parts+1, tokens+stored.Dims[0]
		}
	}
	if parts != unembedParts || tokens != int64(l.Vocab) {
		t.Errorf("%d parts of %d tokens in all, want %d of %d", parts, tokens, unembedParts, l.Vocab)
	}
}

// A W_U of four bits cannot be divided into parts.
func TestFanOutOfBlockwiseUnembedding(t *testing.T) {
	m, l := load(t, filepath.Join(testdata, "torchscript-op10.onnx"))
	n, k, v := l.Unembed.Node, l.Unembed.In, l.Unembed.Out
	const size = 32
	blocks := (k + size - 1) / size
	scales := make([]float32, v*blocks)
	for i := range scales {
		scales[i] = 1
	}
	e := m.Edit()
	packed := e.Const(m.Graph, "packed", &graph.Tensor{DType: graph.Uint8, Dims: []int64{v, blocks, size / 2}, Data: make([]byte, v*blocks*size/2)})
	quantised := e.Node(m.Graph, graph.Spec{
		Op: "MatMulNBits", Domain: "com.microsoft", Name: "quantised",
		Inputs: []*graph.Value{n.In(0), packed, e.Const(m.Graph, "scales", graph.NewFloat32(scales, v*blocks))},
		Attrs:  graph.Attrs{"K": k, "N": v, "bits": 4, "block_size": size},
	})
	e.ReplaceOutput(n.Out(0), quantised)
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.Unembed.Block == nil {
		t.Fatal("the unembedding is not blockwise")
	}
	if _, _, err := FanOut(t.Context(), m, l, Grid{Sites: attnOnly}); err != nil {
		t.Fatal(err)
	}
}

func TestFanOutRefuses(t *testing.T) {
	for want, change := range map[string]func(e *graph.Edit, l *models.Layout){
		"fan-out: the file fixes the batch size to 2": func(e *graph.Edit, l *models.Layout) {
			e.Retype(l.Tokens(), graph.TensorType(graph.Int64, 2, "pos"))
		},
		"fan-out: the file fixes the batch size to 0": func(e *graph.Edit, l *models.Layout) {
			e.Retype(l.Tokens(), graph.TensorType(graph.Int64, 0, "pos"))
		},
		"fan-out: the model ends in hidden states: it has no logits": func(e *graph.Edit, l *models.Layout) {
			e.ReplaceOutput(l.Logits(), l.Unembed.Node.In(0))
		},
		`fan-out: ReduceMax "mixer" may compute a row of a batch from other rows, so rows cannot be added`: func(e *graph.Edit, l *models.Layout) {
			mlp := l.Bodies[0].Layers[1].MLPJoin
			v := mlp.Node.In(mlp.Slot)
			most := e.Node(l.Bodies[0].Graph, graph.Spec{Op: "ReduceMax", Name: "mixer", Attrs: graph.Attrs{"axes": []int64{0}}, Inputs: []*graph.Value{v}})
			e.Redirect(mlp, e.Node(l.Bodies[0].Graph, graph.Spec{Op: "Add", Inputs: []*graph.Value{v, most}}))
		},
	} {
		t.Run(want, func(t *testing.T) {
			m, l := changed(t, "torchscript-op10", change)
			before := graph.Format(m)
			if _, _, err := FanOut(t.Context(), m, l, Grid{Sites: attnOnly}); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
			if graph.Format(m) != before {
				t.Error("the refused fan-out changed the model")
			}
		})
	}
}

// A skip norm may add what does not depend on the tokens, as position embeddings do. Cells with a factor would then have it twice, so
// they are refused. Cells without one are as always.
func TestFanOutFactorAtFirstSum(t *testing.T) {
	m, l := changed(t, "torchscript-op17-mask", func(e *graph.Edit, l *models.Layout) {
		pre := l.Bodies[0].Layers[0].ResidPre[0]
		add, norm := pre.Producer(), l.Bodies[0].Norm
		first := slices.IndexFunc(pre.Uses(), func(u graph.Use) bool { return u.Node.Is("LayerNormalization") })
		if !add.Is("Add") || first < 0 {
			t.Fatalf("the stream begins with %v, read by %v", add, pre.Uses())
		}
		n := pre.Uses()[first].Node
		skip := e.Node(l.Bodies[0].Graph, graph.Spec{Op: "SkipLayerNormalization", Domain: "com.microsoft", Name: "first", Outputs: 4,
			Inputs: []*graph.Value{add.In(0), add.In(1), norm.Gamma, norm.Beta}})
		for _, u := range n.Out(0).Uses() {
			e.Redirect(u, skip)
		}
		for _, u := range pre.Uses() {
			e.Redirect(u, skip.Producer().Out(3))
		}
		e.Prune()
	})
	g := Grid{Sites: []models.PortKind{models.PortResidPre}, Keep: true}
	if _, _, err := FanOut(t.Context(), m, l, g); err == nil || !strings.Contains(err.Error(), "which does not depend on the tokens, so cells cannot have a factor") {
		t.Errorf("%v", err)
	}
	g.Keep = false
	if _, _, err := FanOut(t.Context(), m, l, g); err != nil {
		t.Error(err)
	}
}

// In a parallel block the stream must grow after the join, on either side of an Add.
func TestFanOutOfSwappedParallelBlock(t *testing.T) {
	m, l := changed(t, "gpt-j", func(e *graph.Edit, l *models.Layout) {
		for _, layer := range l.Bodies[0].Layers {
			end := layer.ResidPost[0].Producer()
			e.Redirect(graph.Use{Node: end, Slot: 0}, end.In(1))
			e.Redirect(graph.Use{Node: end, Slot: 1}, end.In(0))
		}
	})
	if _, _, err := FanOut(t.Context(), m, l, Grid{Sites: attnOnly}); err != nil {
		t.Error(err)
	}
}

// FanOut must accept any number of top tokens. For none, it omits the two outputs.
func TestFanOutTop(t *testing.T) {
	for top, want := range []string{"onnx-inject.signal fanout.logp fanout.rank", "onnx-inject.signal fanout.logp fanout.rank fanout.top_logp fanout.top"} {
		m, l := load(t, filepath.Join(testdata, "torchscript-op10.onnx"))
		if _, _, err := FanOut(t.Context(), m, l, Grid{Sites: attnOnly, Top: top}); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(signature(m), " -> "); got != want {
			t.Errorf("top %d: %s, want %s", top, got, want)
		}
	}
}

// An attention operator after a join has more rows than its inputs for the cache and padding, which must be omitted, and
// than lengths and positions, which must be repeated.
func TestFanOutOfAttentionOperators(t *testing.T) {
	for node, want := range map[string]string{
		"Attention(q, k, v, m, p, p, n)":                                     "q k v m nothing nothing nothing",
		"com.microsoft.Attention(x, w, b, n, p, m)":                          "x w b nothing nothing m",
		"com.microsoft.QAttention(x, w, b, s, s, n, s, s, p)":                "x w b s s nothing s s nothing",
		"com.microsoft.MultiHeadAttention(q, k, v, b, n, m, p, p, n)":        "q k v b nothing m nothing nothing nothing",
		"com.microsoft.GroupQueryAttention(q, k, v, p, p, n, s, c, c, n, m)": "q k v nothing nothing Tile s c c Tile m",
		"com.microsoft.RotaryEmbedding(q, n, c, c)":                          "q n c c", // a number for all rows
		"com.microsoft.RotaryEmbedding(q, m, c, c)":                          "q Tile c c",
		"RotaryEmbedding(q, c, c, m)":                                        "q c c Tile",
		"RotaryEmbedding(q, h, h)":                                           "q Tile Tile",
		"com.microsoft.DecoderMaskedMultiHeadAttention(q, k, v, m, n, p, p)": "takes one token at a time",
	} {
		axes := map[string]string{"m": "b, n", "c": "n, d", "h": "b, n, d"}
		var names []string
		_, args, _ := strings.Cut(strings.TrimSuffix(node, ")"), "(")
		for _, name := range strings.Split(args, ", ") {
			dims := axes[name]
			if dims == "" {
				dims = "d"
			}
			if line := "in " + name + ": float32[" + dims + "]"; !slices.Contains(names, line) {
				names = append(names, line)
			}
		}
		m, err := graph.Parse("ir 8 opset 23 opset com.microsoft 1 graph g { " + strings.Join(names, " ") + " z = " + node + " out z }")
		if err != nil {
			t.Fatal(err)
		}
		n := m.Graph.Nodes()[0]
		f, err := newFan(m, &models.Layout{Bodies: []*models.Body{{Graph: m.Graph, Logits: n.Out(0)}}}, Grid{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.freeOperator(n, map[*graph.Value]int{n.In(0): 0}, n.In(0))
		var got []string
		if err := f.edit.Commit(); err != nil {
			got = append(got, strings.TrimPrefix(err.Error(), n.String()+" "))
		} else {
			for _, v := range n.Inputs() {
				if v.Producer() != nil {
					got = append(got, v.Producer().Op())
				} else {
					got = append(got, strings.Trim(v.String(), `"`))
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", node, strings.Join(got, " "), want)
		}
	}
}

// The first element of a target must be inferred, kept, multiplied by the rows, or left unchanged if it is already correct.
func TestFanOutReshapes(t *testing.T) {
	for target, want := range map[string]string{
		"Concat(b, t, hd) {axis: 0}":       "const",  // inferred
		"Concat(b, rest) {axis: 0}":        "Where",  // another element is inferred
		"Concat(b, t, minus) {axis: 0}":    "Where",  // another element is inferred
		"Concat(minus, t, hd) {axis: 0}":   "as was", // already inferred
		"Concat(own, rest) {axis: 0}":      "as was", // computed from a value that has grown
		"Concat(one, t, minus) {axis: 0}":  "Where",  // rows and positions, folded
		"Concat(none, t, minus) {axis: 0}": "as was", // a copy
	} {
		m, err := graph.Parse(`ir 8 opset 17 graph g {
			in x: float32[b, t, 8] b = Shape(x) {start: 0, end: 1} t = Shape(x) {start: 1, end: 2}
			const w = float32[8, 8] base64 "` + strings.Repeat("AAAA", 85) + `AA==" const d = int64[2] {-1, 8} const hd = int64[2] {2, 4}
			const rest = int64[3] {-1, 2, 4} const minus = int64[1] {-1} const one = int64[1] {1} const none = int64[1] {0}
			j = Add(x, x) own = Shape(j) {start: 0, end: 1} f = Reshape(j, d) y = Gemm(f, w) k, v = Split(y) {axis: -1} shape = ` + target + ` z = Reshape(v, shape) @unfold out z }`)
		if err != nil {
			t.Fatal(err)
		}
		nodes := m.Graph.Nodes()
		n := nodes[len(nodes)-1]
		layer := &models.Layer{Join: graph.Use{Node: nodes[slices.IndexFunc(nodes, func(n *graph.Node) bool { return n.Is("Add") })]}}
		f, err := newFan(m, &models.Layout{Bodies: []*models.Body{{Graph: m.Graph, Logits: n.Out(0), Layers: []*models.Layer{layer}}}}, Grid{Sites: attnOnly}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.growths[0].rows = f.ints("rows", 3)
		before := n.In(1)
		f.freeReshape(n)
		if err := f.edit.Commit(); err != nil {
			t.Fatal(err)
		}
		got := "as was"
		if n.In(1) != before {
			got = "const"
			if p := n.In(1).Producer().In(0).Producer(); p != nil {
				got = p.Op()
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
