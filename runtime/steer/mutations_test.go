package steer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// mutants is how many are made of each file; some thousand held once.
const mutants = 24

// mutations are the fixtures that compute in float32 and run whole prompts.
var mutations = []string{"families/optimum-llama", "families/optimum-phi3", "families/optimum-phi", "families/optimum-gemma2", "families/optimum-olmo2",
	"families/optimum-stablelm", "families/optimum-smollm3", "families/optimum-cohere", "families/optimum-falcon", "families/optimum-bloom",
	"families/dynamo18-qwen2.5", "families/dynamo18-opt", "families/dynamo23-llama", "families/genai-llama3/model", "families/genai09-gemma3-local", "families/genai09-granite",
	"torchscript-op10", "torchscript-op17-mask", "dynamo-op18-sdpa", "dynamo-op23-attention", "onnxslim", "nanogpt-torchscript",
	"gpt-neo", "gpt-j", "ort-fused-attention", "ort-fused-skiplayernorm", "optimum-2-cache", "optimum-1-with-past"}

// mutate changes one edge of a graph: it puts an operation on it that keeps the shape, or leads it elsewhere.
func mutate(r *rand.Rand, m *graph.Model, width int) string {
	e, g := m.Edit(), m.Graph
	nodes := g.Nodes()
	for {
		n := nodes[r.IntN(len(nodes))]
		if len(n.Inputs()) == 0 {
			continue
		}
		u := graph.Use{Node: n, Slot: r.IntN(len(n.Inputs()))}
		v := n.In(u.Slot)
		if v == nil || v.Producer() == nil || v.Const() != nil || n.Is("Shape") || v.Type().DType != graph.Undefined && !v.Type().DType.IsFloat() ||
			v.Producer().Is("Shape", "Gather", "Unsqueeze", "Squeeze", "Concat", "ConstantOfShape", "Slice", "Range", "Less") && !v.Type().DType.IsFloat() {
			continue
		}
		op := func(name string, in ...*graph.Value) *graph.Value {
			return e.Node(g, graph.Spec{Op: name, Name: "mutant", Inputs: in})
		}
		scalar := func(x float32) *graph.Value { return e.Const(g, "c", graph.NewFloat32([]float32{x})) }
		vector := func() *graph.Value {
			x := make([]float32, width)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			return e.Const(g, "c", graph.NewFloat32(x, int64(width)))
		}
		what := ""
		var w *graph.Value
		switch r.IntN(9) {
		case 0:
			what, w = "Neg", op("Neg", v)
		case 1:
			what, w = "Mul 0.5", op("Mul", v, scalar(0.5))
		case 2:
			what, w = "Tanh", op("Tanh", v)
		case 3:
			what, w = "Add self", op("Add", v, v)
		case 4:
			what, w = "Add vector", op("Add", v, vector())
		case 5:
			what, w = "Mul vector", op("Mul", v, vector())
		case 6:
			what, w = "Sub vector", op("Sub", v, vector())
		default: // another value instead
			p := nodes[r.IntN(len(nodes))]
			if len(p.Outputs()) == 0 || p.Out(0) == nil || p.Out(0) == v {
				continue
			}
			w = p.Out(0)
			what = fmt.Sprintf("read %v", w)
		}
		e.Redirect(u, w)
		if e.Commit() != nil {
			return ""
		}
		return fmt.Sprintf("%s at input %d of %v", what, u.Slot, n)
	}
}

// A graph that is nearly a decoder is refused, or every law holds of what is exposed.
func TestMutations(t *testing.T) {
	ctx, host := context.Background(), orttest.Host(t)
	accepted, ran := 0, 0
	for i, name := range mutations {
		for seed := range uint64(mutants) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			m, err := graph.Load(filepath.Join(testdata, name+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			original, err := recognise.Locate(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			layers := original.Layers
			what := mutate(r, m, original.DModel)
			if what == "" {
				continue
			}
			l, err := recognise.Locate(t.Context(), m, nil)
			if err != nil {
				continue
			}
			accepted++
			if l.Layers != layers {
				t.Errorf("%s %d, %s: %d layers, the original has %d", name, seed, what, l.Layers, layers)
			}
			broken, err := broken(ctx, host, m, l)
			if err != nil {
				continue
			}
			ran++
			if len(broken) > 0 {
				t.Errorf("%s %d, %s:\n  %s", name, seed, what, strings.Join(broken, "\n  "))
			}
		}
	}
	if accepted < 100 || ran < 50 {
		t.Errorf("%d mutants were accepted and %d ran: too few to show anything", accepted, ran)
	}
}

// layersWith are the layers that nothing is said to be missing from.
func layersWith(l *models.Layout, missing func(*models.Layer) string) []int {
	var layers []int
	for i, x := range l.Bodies[0].Layers {
		if missing(x) == "" {
			layers = append(layers, i)
		}
	}
	return layers
}

// broken runs a model with everything exposed and returns the laws that do not hold.
func broken(ctx context.Context, host runtime.Host, m *graph.Model, l *models.Layout) ([]string, error) {
	var req rewrite.Request
	for _, site := range models.Sites() {
		req.Inject = append(req.Inject, rewrite.Inject{Site: site, Layers: layersWith(l, site.Intervention().Missing)})
	}
	for _, k := range rewrite.Kinds {
		layers := layersWith(l, func(x *models.Layer) string { return x.Missing[string(k.Port)] })
		req.Expose = append(req.Expose, rewrite.Expose{Kind: k, Layers: layers})
	}
	_, l, err := rewrite.Apply(t.Context(), m, l, req)
	if err != nil {
		return nil, err
	}
	in, err := inputs.Read(m, l)
	if err != nil {
		return nil, err
	}
	s, err := runtime.OpenGraph(ctx, host, m, runtime.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ids := []int64{5, 17, 3, 90, 41, 8, 66}
	if in.Length > 0 {
		ids = ids[:in.Length]
	}
	batch := [][]int64{ids}
	for len(batch) < int(in.Batch) {
		batch = append(batch, ids)
	}
	feeds, err := in.Feeds(batch)
	if err != nil {
		return nil, err
	}
	const at, tau = 1, 2.5
	memory := make([]float32, l.DModel)
	for i := range memory {
		memory[i] = float32(i%5) / 3
	}
	for _, x := range req.Inject {
		if slices.Contains(x.Layers, at) {
			feeds[x.Site.Input(models.PortMemory).Name(at)] = graph.NewFloat32(memory, 1, 1, int64(l.DModel))
			feeds[x.Site.Input(models.PortTau).Name(at)] = graph.NewFloat32([]float32{tau}, 1, 1, 1)
		}
	}
	out, err := s.Run(ctx, feeds)
	if err != nil {
		return nil, err
	}
	port := func(k models.PortKind, layer int) []float32 {
		if out[k.Name(layer)] == nil {
			return nil
		}
		x, err := out[k.Name(layer)].Float32s()
		if err != nil {
			return nil
		}
		return x
	}
	for _, t := range out {
		if x, err := t.Float32s(); err != nil || slices.ContainsFunc(x, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) }) {
			return nil, errors.New("the mutant computes no numbers")
		}
	}
	var bad []string
	same := func(what string, a, b []float32) {
		if a == nil || b == nil {
			return
		}
		worst, largest := 0.0, 1.0
		if len(a) != len(b) {
			bad = append(bad, fmt.Sprintf("%s: %d and %d numbers", what, len(a), len(b)))
			return
		}
		for i := range a {
			worst, largest = max(worst, math.Abs(float64(a[i])-float64(b[i]))), max(largest, math.Abs(float64(a[i])))
		}
		if !(worst/largest < 2e-5) {
			bad = append(bad, fmt.Sprintf("%s: %g apart", what, worst))
		}
	}
	sum := func(xs ...[]float32) []float32 {
		var total []float32
		for _, x := range xs {
			if x == nil {
				return nil
			}
			if total == nil {
				total = make([]float32, len(x))
			}
			for i := range total {
				total[i] += x[i%len(x)]
			}
		}
		return total
	}
	d, h := l.DModel, l.Heads
	for i, x := range l.Bodies[0].Layers {
		attn, proj, pre, mid, post, mlp := port(models.PortAttnOut, i), port(models.PortOut, i), port(models.PortResidPre, i), port(models.PortResidMid, i), port(models.PortResidPost, i), port(models.PortMLPOut, i)
		injected := make([]float32, d)
		if i == at {
			for j := range injected {
				injected[j] = tau * memory[j]
			}
		}
		bias := make([]float32, d)
		for _, b := range x.BO {
			v, err := weights.Vector(b)
			if err != nil {
				return nil, err
			}
			for j := range bias {
				bias[j] += v[j%len(v)]
			}
		}
		if result := port(models.PortResult, i); result != nil {
			heads := make([]float32, len(result)/h)
			for j := range heads {
				for head := range h {
					heads[j] += result[(j/d*h+head)*d+j%d]
				}
			}
			same(fmt.Sprintf("layer %d: heads and hook_out", i), sum(heads, bias), proj)
		}
		if x.PostNorm == nil && !x.Scaled {
			same(fmt.Sprintf("layer %d: hook_out and attn_out", i), proj, attn)
		}
		if mid != nil {
			same(fmt.Sprintf("layer %d: resid_mid", i), sum(pre, attn, injected), mid)
			if x.Missing["mlp_out"] == "" {
				same(fmt.Sprintf("layer %d: resid_post", i), sum(mid, mlp, injected), post)
			}
		} else {
			same(fmt.Sprintf("layer %d: resid_post", i), sum(pre, attn, injected, mlp, injected), post)
		}
		if i > 0 {
			same(fmt.Sprintf("layer %d: resid_pre", i), port(models.PortResidPost, i-1), pre)
		}
		if p := port(models.PortPattern, i); p != nil {
			n := len(ids)
			for row := range len(p) / n {
				total := 0.0
				for j := range n {
					total += float64(p[row*n+j])
				}
				if total != 0 && math.Abs(total-1) > 1e-4 { // some files set rows that are no numbers to 0
					bad = append(bad, fmt.Sprintf("layer %d: a row of the pattern adds up to %g", i, total))
					break
				}
			}
		}
	}
	last := l.Bodies[0].Layers[l.Layers-1]
	if logits := l.Logits(); logits != nil && last.ResidPost != nil {
		want, err := unembed(l, port(models.PortResidPost, last.Index))
		if err != nil {
			return nil, err
		}
		got, err := out[logits.Name()].Float32s()
		if err != nil {
			return nil, err
		}
		same("logits", want[len(want)-len(got):], got)
	}
	return bad, nil
}

// unembed computes the logits of a residual stream: the final norm, W_U, b_U, the soft cap.
func unembed(l *models.Layout, x []float32) ([]float32, error) {
	norm := l.Bodies[0].Norm
	d := l.DModel
	gamma, beta := slices.Repeat([]float32{1}, d), make([]float32, d)
	for into, v := range map[*[]float32]*graph.Value{&gamma: norm.Gamma, &beta: norm.Beta} {
		if v == nil {
			continue
		}
		read, err := weights.Vector(v)
		if err != nil {
			return nil, err
		}
		*into = read
	}
	bias, err := l.UnembedBias()
	if err != nil {
		return nil, err
	}
	columns, err := l.Unembed.Columns()
	if err != nil {
		return nil, err
	}
	w, err := columns.Read(0, int64(l.Vocab))
	if err != nil {
		return nil, err
	}
	var out []float32
	for row := range slices.Chunk(x, d) {
		mean, variance := 0.0, 0.0
		if norm.Kind == models.LayerNorm {
			for _, x := range row {
				mean += float64(x) / float64(d)
			}
		}
		for _, x := range row {
			variance += (float64(x) - mean) * (float64(x) - mean) / float64(d)
		}
		for token := range l.Vocab {
			sum := 0.0
			for i, x := range row {
				normed := (float64(x)-mean)/math.Sqrt(variance+norm.Eps)*float64(gamma[i]) + float64(beta[i])
				if columns.Transposed {
					sum += normed * float64(w[token*d+i])
				} else {
					sum += normed * float64(w[i*l.Vocab+token])
				}
			}
			if bias != nil {
				sum += float64(bias[token])
			}
			if l.SoftCap > 0 {
				sum = l.SoftCap * math.Tanh(sum/l.SoftCap)
			}
			out = append(out, float32(sum))
		}
	}
	return out, nil
}
