package steer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// Report is what [Verify] found.
type Report struct {
	Patched  string  `json:"patched"`
	Original string  `json:"original"`
	Device   string  `json:"device"`
	Tokens   []int64 `json:"tokens"` // the prompt that was run
	Checks   []Check `json:"checks"`
	OK       bool    `json:"ok"`
}

// Check is one law with the number measured and the bound it must keep.
type Check struct {
	Name  string  `json:"name"`
	Layer int     `json:"layer"` // -1: the whole model
	Got   float64 `json:"got"`   // null where it is not finite
	Want  string  `json:"want"`  // the bound, in words
	OK    bool    `json:"ok"`
	Note  string  `json:"note,omitempty"`
}

// MarshalJSON writes null for a number that is not finite, which JSON does not have: it is what a check finds that fails worst.
func (c Check) MarshalJSON() ([]byte, error) {
	type plain Check // without this method
	out := struct {
		plain
		Got *float64 `json:"got"`
	}{plain: plain(c)}
	if !math.IsNaN(c.Got) && !math.IsInf(c.Got, 0) {
		out.Got = &c.Got
	}
	return json.Marshal(out)
}

// Bounds of the checks. Heads are added up in another order than the model's own product: the sum of a few hundred products
// of float32 numbers differs in the last digits. Quantised activations differ by their own rounding.
const (
	headsBound     = 1e-5 // of the largest attention output, at least 1
	headsHalf      = 1e-2 // 16-bit floats carry three digits
	headsQuantised = 5e-2
	effectBound    = 1e-6
	verifyTokens   = 7
)

// Verify runs a patched model and its original, both without the host's own optimisations, and checks the laws: with tau = 0
// the patched model gives the original's outputs; heads add up to the output of W_O; a memory has an effect at every
// layer that has ports. original is a file or a folder, or "": then the manifest names it, in the patched file's folder.
func Verify(ctx context.Context, host runtime.Host, patched, original string, o runtime.Options) (*Report, error) {
	o.Level = runtime.Unmodified
	p, err := graph.Load(patched)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	man, err := models.ReadManifest(p)
	if err != nil {
		return nil, err
	}
	if man == nil {
		return nil, hint.With(fmt.Errorf("%s: not a patched model: it holds no manifest", patched), "onnx-inject rewrite makes one")
	}
	if original == "" {
		if original, err = sourceOf(patched, man); err != nil {
			return nil, err
		}
	}
	f, err := folder.Open(original)
	if err != nil {
		return nil, err
	}
	g, err := graph.Load(f.Model)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	v := &verifier{ctx: ctx, host: host, options: o, man: man, report: &Report{Patched: patched, Original: f.Model, Device: o.Device.String(), OK: true}}
	defer v.close()
	if err := v.prepare(p, g, f.Config); err != nil {
		return nil, err
	}
	for _, check := range []func() error{v.tauZero, v.heads, v.effect} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return v.report, nil
}

// sizes tells models apart, to people too.
func sizes(l *models.Layout) string {
	return fmt.Sprintf("%d layers of d_model %d and %d tokens", l.Layers, l.DModel, l.Vocab)
}

// sourceOf finds the original that the manifest names and makes sure it is still the same size.
func sourceOf(patched string, man *models.Manifest) (string, error) {
	path := filepath.Join(filepath.Dir(patched), man.Source.File)
	st, err := os.Stat(path)
	same := err == nil && (man.Source.Bytes == 0 || st.Size() == man.Source.Bytes)
	switch {
	case err != nil, !same && isPatched(path): // a copy often has the name of the original, in another folder
		return "", hint.With(fmt.Errorf("%s: its original %q does not lie beside it", patched, man.Source.File), "name it with --against")
	case !same:
		return "", hint.With(fmt.Errorf("%s: its original %s has %d bytes, %d when it was patched: it has changed since", patched, path, st.Size(), man.Source.Bytes),
			"patch it again, or name the unchanged original with --against")
	}
	return path, nil
}

// isPatched tells a patched file from an original, which never was one: a copy of a copy keeps the first source.
func isPatched(path string) bool {
	m, err := graph.Load(path)
	if err != nil {
		return false
	}
	defer m.Close()
	_, ok := m.Meta(models.ManifestKey)
	return ok
}

type verifier struct {
	ctx     context.Context
	host    runtime.Host
	options runtime.Options
	man     *models.Manifest
	report  *Report

	layout            *models.Layout // of the patched model, with the ports that heads needs
	patched, original runtime.Session
	inputs, plain     *inputs.Signature
	outputs           []*graph.Value // of the original
}

// prepare opens both models. Ports that the check of heads needs and the file does not have are added in memory. What the
// configuration of the original says holds for its copy as well, which may be in another folder.
func (v *verifier) prepare(p, g *graph.Model, cfg *models.Config) error {
	plain, err := recognise.Locate(v.ctx, g, cfg)
	if err != nil {
		return err
	}
	if v.layout, err = recognise.Locate(v.ctx, p, &models.Config{Heads: plain.Heads, KVHeads: plain.KVHeads, Vocab: cfg.Vocab}); err != nil {
		return err
	}
	if got, want := sizes(v.layout), sizes(plain); got != want {
		return hint.With(fmt.Errorf("%s: not a copy of %s: it has %s, the original %s", v.report.Patched, v.report.Original, got, want),
			"name the original with --against")
	}
	expose := missingPorts(models.PortResult, v.layout, v.man, nil)
	for _, kind := range []models.PortKind{models.PortOut, models.PortAttnOut} {
		expose = append(expose, missingPorts(kind, v.layout, v.man, func(l *models.Layer) bool { return headsOf(l) == kind })...)
	}
	if _, v.layout, err = rewrite.Apply(p, v.layout, rewrite.Request{Expose: expose}); err != nil {
		return err
	}
	if v.inputs, err = inputs.Read(p, v.layout); err != nil {
		return err
	}
	if v.plain, err = inputs.Read(g, plain); err != nil {
		return err
	}
	if v.original, err = runtime.OpenGraph(v.ctx, v.host, g, v.options); err != nil {
		// ONNX Runtime 1.30 does not open some files in float16 as they are: it adds conversions that it then cannot place.
		v.options.Level = runtime.Basic
		v.original, err = runtime.OpenGraph(v.ctx, v.host, g, v.options)
	}
	if err != nil {
		return err
	}
	if v.patched, err = runtime.OpenGraph(v.ctx, v.host, p, v.options); err != nil {
		return err
	}
	v.outputs = g.Graph.Outputs()
	n := verifyTokens
	if in := plain.Tokens(); in != nil && len(in.Type().Dims) == 2 && in.Type().Dims[1].Size > 0 {
		n = int(in.Type().Dims[1].Size)
	}
	vocab := plain.Vocab
	if vocab == 0 {
		vocab = int(plain.Embed.In)
	}
	r := rand.New(rand.NewPCG(1, 2)) // the same prompt every time
	for range n {
		v.report.Tokens = append(v.report.Tokens, r.Int64N(int64(vocab)))
	}
	return nil
}

func (v *verifier) close() {
	for _, s := range []runtime.Session{v.patched, v.original} {
		if s != nil {
			s.Close()
		}
	}
}

func (v *verifier) add(c Check) {
	v.report.Checks = append(v.report.Checks, c)
	v.report.OK = v.report.OK && c.OK
}

func (v *verifier) run(s runtime.Session, in *inputs.Signature, change func(map[string]*graph.Tensor)) (map[string]*graph.Tensor, error) {
	batch := [][]int64{v.report.Tokens}
	for len(batch) < int(in.Batch) {
		batch = append(batch, v.report.Tokens)
	}
	feeds, err := in.Feeds(batch)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(feeds)
	}
	return s.Run(v.ctx, feeds)
}

// tauZero compares every output that both models have, bit for bit.
func (v *verifier) tauZero() error {
	want, err := v.run(v.original, v.plain, nil)
	if err != nil {
		return fmt.Errorf("run the original: %w", err)
	}
	got, err := v.run(v.patched, v.inputs, nil)
	if err != nil {
		return fmt.Errorf("run the patched model: %w", err)
	}
	worst, same, compared, note := 0.0, true, 0, ""
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			continue // a cache output that --prefill dropped
		}
		if len(w.Dims) == 3 && len(g.Dims) == 3 && g.Dims[1] == 1 && w.Dims[1] > 1 {
			w, note = lastPosition(w), "last position only"
		}
		d, err := worstDifference(g, w)
		if err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
		worst, same, compared = max(worst, d), same && bytes.Equal(g.Data, w.Data), compared+1
	}
	if compared == 0 {
		return errors.New("the patched model has none of the original's outputs")
	}
	if len(v.man.Baked) > 0 {
		v.add(Check{Name: "the baked memory has an effect", Layer: -1, Got: worst, Want: fmt.Sprintf("> %g", effectBound), OK: worst > effectBound})
		return nil
	}
	c := Check{Name: "tau = 0 equals the original", Layer: -1, Got: worst, Want: "0, bit for bit", OK: worst == 0, Note: note}
	switch {
	case same:
		c.Note = join(c.Note, "bit for bit")
	case v.half():
		// Hosts compute in float32 between conversions and place those by the graph around them.
		c.Want, c.OK, c.Note = fmt.Sprintf("<= %g", headsHalf), worst <= headsHalf, join(note, "float16")
	case note != "" || v.changedShape(got, want) || v.otherKernel():
		c.Want, c.OK = "<= 1e-5", worst <= 1e-5 // other matrix shapes add up in another order, and so do other kernels
	}
	v.add(c)
	return nil
}

// half reports whether the model computes in 16 bits: W_O is stored so, or its scales are, or values are converted.
func (v *verifier) half() bool {
	short := func(d graph.DType) bool { return d == graph.Float16 || d == graph.BFloat16 }
	b := v.layout.Bodies[0]
	w := b.Layers[0].WO
	return slices.ContainsFunc([]*graph.Const{w.Store, w.Scale, w.Node.In(2).Const()}, func(c *graph.Const) bool { return c != nil && short(c.DType) }) ||
		slices.ContainsFunc(b.Graph.Nodes(), func(n *graph.Node) bool { return n.Is("Cast") && short(graph.DType(n.Int("to", 0))) })
}

// roundsActivations reports whether an operator turns floats into 8 bits. Where only weights are quantised, heads add up as in
// any file.
func (v *verifier) roundsActivations() bool {
	return slices.ContainsFunc(v.layout.Bodies[0].Graph.Nodes(), func(n *graph.Node) bool {
		return n.Is("QuantizeLinear", "DynamicQuantizeLinear", "com.microsoft.DynamicQuantizeMatMul", "com.microsoft.QuantizeLinear")
	})
}

// otherKernel reports whether an attention operator gives out probabilities: hosts then compute them whole, and not in tiles.
func (v *verifier) otherKernel() bool {
	return slices.ContainsFunc(v.layout.Bodies[0].Layers, func(l *models.Layer) bool {
		s := ops.Of(l.Core).Attn
		return s != nil && s.Mode != "" && l.Core.Int(s.Mode, 0) != 0
	})
}

// changedShape reports whether the patched model dropped outputs: a prefill graph may compute in other shapes.
func (v *verifier) changedShape(got, want map[string]*graph.Tensor) bool {
	for name := range want {
		if _, ok := got[name]; !ok {
			return true
		}
	}
	return false
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

// headsOf returns the kind of port that the heads of a layer add up to: the output of W_O, which is attn_out in most families.
func headsOf(l *models.Layer) models.PortKind {
	if (l.PostNorm != nil || l.Scaled) && l.Missing[string(models.PortOut)] == "" {
		return models.PortOut
	}
	return models.PortAttnOut
}

// heads adds up hook_result over the heads, with b_O, and compares with the output of W_O. A file that multiplies by a number in
// the product itself computes that output nowhere: there all of attn_out must be the sum times one number.
func (v *verifier) heads() error {
	out, err := v.run(v.patched, v.inputs, nil)
	if err != nil {
		return err
	}
	for i, l := range v.layout.Bodies[0].Layers {
		bias := make([]float64, v.layout.DModel)
		for _, b := range l.BO {
			x, err := weights.Vector(b)
			if err != nil {
				return fmt.Errorf("layer %d: b_O: %w", i, err)
			}
			for j := range bias {
				bias[j] += float64(x[j%len(x)])
			}
		}
		kind := headsOf(l)
		result, err := out[models.PortResult.Name(i)].Float32s()
		if err != nil {
			return err
		}
		whole, err := out[kind.Name(i)].Float32s()
		if err != nil {
			return err
		}
		d, h := v.layout.DModel, v.layout.Heads
		sums := make([]float64, len(whole))
		for k := range sums {
			for head := range h {
				sums[k] += float64(result[(k/d*h+head)*d+k%d])
			}
		}
		factor, name := 1.0, "heads add up to "+string(kind)
		if l.Scaled && kind == models.PortAttnOut {
			factor, name = ratio(whole, sums), name+" times a number"
		}
		worst, largest := 0.0, 1.0
		for k, x := range whole {
			worst, largest = max(worst, math.Abs(factor*sums[k]+bias[k%d]-float64(x))), max(largest, math.Abs(float64(x)))
		}
		bound, note := headsBound, ""
		switch {
		case l.WO.Scale != nil && v.roundsActivations():
			bound, note = headsQuantised, "the model rounds activations to 8 bits"
		case l.WO.Store == nil: // in blocks, which the operator may be alone to read
			bound, note = headsHalf, "blockwise quantised W_O"
		case v.half():
			bound, note = headsHalf, "float16"
		}
		if math.IsNaN(worst) {
			worst = math.Inf(1)
		}
		v.add(Check{Name: name, Layer: i, Got: worst / largest, Want: fmt.Sprintf("<= %g", bound), OK: worst/largest <= bound, Note: note})
	}
	return nil
}

// ratio is the number that times y is nearest to x.
func ratio(x []float32, y []float64) float64 {
	xy, yy := 0.0, 0.0
	for i := range y {
		xy, yy = xy+float64(x[i])*y[i], yy+y[i]*y[i]
	}
	return xy / yy
}

// effect feeds each memory port of the file and looks for a change of the outputs.
func (v *verifier) effect() error {
	base, err := v.run(v.patched, v.inputs, nil)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, p := range v.man.Ports {
		port, known := p.Port()
		if !known || port.Kind != models.PortMemory {
			continue
		}
		tau := port.Site.Input(models.PortTau)
		memory := port.Fill(v.layout, func() float32 { return float32(r.NormFloat64()) })
		got, err := v.run(v.patched, v.inputs, func(feeds map[string]*graph.Tensor) {
			feeds[p.Name], feeds[tau.Name(p.Layer)] = memory, tau.Fill(v.layout, func() float32 { return 4 })
		})
		if err != nil {
			return err
		}
		change, err := v.change(got, base)
		if err != nil {
			return err
		}
		name := "a memory has an effect"
		if p.Site != "" {
			name = fmt.Sprintf("a memory at %s has an effect", p.Site)
		}
		v.add(Check{Name: name, Layer: p.Layer, Got: change, Want: fmt.Sprintf("> %g", effectBound), OK: change > effectBound})
	}
	return nil
}

// change is the largest difference between two runs in the outputs of the original.
func (v *verifier) change(got, base map[string]*graph.Tensor) (float64, error) {
	change := 0.0
	for _, o := range v.outputs {
		if base[o.Name()] == nil {
			continue
		}
		d, err := worstDifference(got[o.Name()], base[o.Name()])
		if err != nil {
			return 0, err
		}
		change = max(change, d)
	}
	return change, nil
}

// lastPosition cuts [batch, pos, d] to [batch, 1, d].
func lastPosition(t *graph.Tensor) *graph.Tensor {
	row := int64(len(t.Data)) / (t.Dims[0] * t.Dims[1])
	out := &graph.Tensor{DType: t.DType, Dims: []int64{t.Dims[0], 1, t.Dims[2]}}
	for b := range t.Dims[0] {
		end := (b + 1) * t.Dims[1] * row
		out.Data = append(out.Data, t.Data[end-row:end]...)
	}
	return out
}

// worstDifference is the largest absolute difference. What is the same on both sides differs by 0, infinite and NaN too; a NaN on
// one side only counts as infinite.
func worstDifference(a, b *graph.Tensor) (float64, error) {
	x, err := a.Float32s()
	if err != nil {
		return 0, err
	}
	y, err := b.Float32s()
	if err != nil {
		return 0, err
	}
	if len(x) != len(y) {
		return 0, fmt.Errorf("shape %v, want %v", a.Dims, b.Dims)
	}
	worst := 0.0
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		switch d := math.Abs(a - b); {
		case a == b, math.IsNaN(a) && math.IsNaN(b):
		case math.IsNaN(d):
			return math.Inf(1), nil
		default:
			worst = max(worst, d)
		}
	}
	return worst, nil
}
