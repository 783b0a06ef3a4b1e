package lens

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/runtime"
)

const fixtures = "../../../models/testdata"

// reference is what PyTorch computed on the checkpoint of some fixtures.
type reference struct {
	Heads       int              `json:"heads"`
	DModel      int              `json:"d_model"`
	InputIDs    [][]int64        `json:"input_ids"`
	Activations map[string]array `json:"activations"`
	Logits      array            `json:"logits"`
}

type array struct {
	Shape []int     `json:"shape"`
	Data  []float32 `json:"data"`
}

// last returns the last position of row 0 of an activation [batch, pos, …] with n numbers a position.
func (r *reference) last(name string, n int) []float32 { return r.lastOf(r.Activations[name], n) }

func (r *reference) lastOf(a array, n int) []float32 {
	end := len(r.InputIDs[0]) * n
	return a.Data[end-n : end]
}

// Every fixture: the vectors are those of PyTorch, the product is that of float64 with the weights as models reads them,
// and what a head writes whatever it reads is the same in every file of a checkpoint.
func TestFixtures(t *testing.T) {
	lists, err := filepath.Glob(filepath.Join(fixtures, "*", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string][][]float32{} // by reference
	for _, list := range append(lists, filepath.Join(fixtures, "cases.json")) {
		var cases []fixture
		read(t, list, &cases)
		dir := filepath.Dir(list)
		for _, c := range cases {
			t.Run(c.File, func(t *testing.T) { c.check(t, dir, constants) })
		}
	}
}

type fixture struct {
	File, Ref string
	ATol      float64
	First     bool // takes one token
}

func (c fixture) check(t *testing.T, dir string, constants map[string][][]float32) {
	var ref reference
	read(t, filepath.Join(dir, c.Ref), &ref)
	for _, norm := range Norms {
		l, err := openPath(t, filepath.Join(dir, c.File), Options{Norm: norm, Texts: memory.PaperTexts, Runtime: runtime.Options{Threads: 1}})
		if err != nil {
			t.Fatalf("%s: %v", norm, err)
		}
		defer l.Close()
		if c.First {
			ref.InputIDs[0] = ref.InputIDs[0][:1]
		}
		checkFixture(t, l, &ref, c.ATol)
		if norm != NormTL {
			continue
		}
		if constants[filepath.Join(dir, c.Ref)] == nil {
			constants[filepath.Join(dir, c.Ref)] = l.constants
		}
		for k, want := range constants[filepath.Join(dir, c.Ref)] {
			near(t, "constant", l.constants[k], want, c.ATol)
		}
	}
}

func checkFixture(t *testing.T, l *Lens, ref *reference, tolerance float64) {
	t.Helper()
	ctx := t.Context()
	rows, _, err := l.rows(ctx, ref.InputIDs[0])
	if err != nil {
		t.Fatal(err)
	}
	bias, dense := l.bias, dense(t, l.Layout.Unembed)
	if l.options.Norm == NormFinal {
		bias = nil // b_U belongs to no head: parts of a logit must add up
	}
	p, err := l.product(ctx, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.session.Close()
	p.atOnce = 50 * (p.d + 3*int64(len(rows))) // several ranges, the last of them short
	if l.options.Norm == NormRaw {
		for layer := range l.Layout.Layers {
			checkHeads(t, l.Layout.Bodies[0].Layers[layer], rows[layer*ref.Heads:][:ref.Heads], ref, tolerance)
		}
	}
	if l.options.Norm == NormFinal {
		checkLogits(t, l, ref, dense, tolerance)
	}
	for k, r := range rows {
		r.asked = []int64{int64(k) % int64(l.Layout.Vocab)}
	}
	if err := p.run(ctx, rows); err != nil {
		t.Fatal(err)
	}
	for k, r := range rows {
		logits := multiply(r.x, dense, bias, r.shift)
		checkRow(t, l.options.Norm, l.Layout.SoftCap != 0, k, r, logits)
	}
}

// checkHeads holds what heads add to the stream at a layer against PyTorch: each is its result, times what attention adds to the stream
// over the output of W_O where there is a norm or a multiplier between the two; and with their part of b_O they add up to attn_out.
func checkHeads(t *testing.T, l *models.Layer, rows []*row, ref *reference, tolerance float64) {
	t.Helper()
	d := ref.DModel
	result, joined := ref.last(models.PortResult.Name(l.Index), ref.Heads*d), ref.last(models.PortAttnOut.Name(l.Index), d)
	out := joined
	if joinsLater(l) {
		out = ref.last(models.PortOut.Name(l.Index), d)
	}
	bias := make([]float64, d)
	for _, v := range l.BO {
		x, err := weights.Vector(v)
		if err != nil {
			t.Fatal(err)
		}
		for i := range bias {
			bias[i] += float64(x[i])
		}
	}
	for i := range d {
		ratio, total := float64(joined[i])/float64(out[i]), 0.0
		if math.Abs(float64(out[i])) < 1e-3 {
			continue // too few digits for a ratio
		}
		for k, r := range rows {
			want := float64(result[k*d+i]) * ratio
			if diff := math.Abs(float64(r.x[i]) - want); !(diff <= tolerance*(1+math.Abs(ratio))) {
				t.Fatalf("layer %d, head %d: number %d is %g, want %g", l.Index, k, i, r.x[i], want)
			}
			total += float64(r.x[i])
		}
		if diff := math.Abs(total + bias[i]*ratio - float64(joined[i])); !(diff <= float64(len(rows))*tolerance*(1+math.Abs(ratio))) {
			t.Fatalf("layer %d: with b_O the heads add up to %g at number %d, attention adds %g", l.Index, total+bias[i]*ratio, i, joined[i])
		}
	}
}

// checkLogits takes the whole stream through what a head goes through: it gives the logits of the model except for the constants beta · E
// and b_U, and before the soft cap.
func checkLogits(t *testing.T, l *Lens, ref *reference, dense [][]float32, tolerance float64) {
	t.Helper()
	a, err := l.heads.run(t.Context(), ref.InputIDs[0], true)
	if err != nil {
		t.Fatal(err)
	}
	x, stream := make([]float32, l.Layout.DModel), make([]float64, l.Layout.DModel)
	for i, v := range a.stream {
		stream[i] = float64(v)
	}
	l.at.vector(stream, l.at.scale(a.stream), x)
	beta, err := parameterOf(l.Layout.Bodies[0].Norm.Beta, "bias", l.Layout.DModel)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range beta {
		x[i] += b
	}
	want := ref.lastOf(ref.Logits, l.Layout.Vocab)
	for id, got := range multiply(x, dense, l.bias, 0) {
		if c := l.Layout.SoftCap; c != 0 {
			got = c * math.Tanh(got/c)
		}
		if diff := math.Abs(got - float64(want[id])); !(diff <= tolerance) {
			t.Fatalf("the logit of token %d is %g, want %g", id, got, want[id])
		}
	}
}

// checkRow compares what came of a row with its logits in float64.
func checkRow(t *testing.T, norm Norm, capped bool, k int, r *row, logits []float64) {
	t.Helper()
	mean, logZ := 0.0, math.Inf(-1)
	for _, x := range logits {
		mean += x / float64(len(logits))
		logZ = logAdd(logZ, x)
	}
	size := 0.0
	for _, x := range logits {
		size = max(size, math.Abs(x))
	}
	eps := 2e-6 * (1 + size)
	if norm == NormTL && !capped && math.Abs(mean) > eps {
		t.Errorf("%s, row %d: the logits have mean %g", norm, k, mean)
	}
	if math.Abs(r.logZ-logZ) > eps {
		t.Errorf("%s, row %d: log of the sum %g, want %g", norm, k, r.logZ, logZ)
	}
	own, rank := logits[r.asked[0]], 0
	for _, x := range logits {
		if x > own {
			rank++
		}
	}
	if m := r.marks[0]; math.Abs(m.logit-own) > eps || m.rank != rank {
		t.Errorf("%s, row %d: token %d has logit %g and rank %d, want %g and %d", norm, k, r.asked[0], m.logit, m.rank, own, rank)
	}
	for i, s := range r.top {
		above, level := 0, 0 // what is closer than rounding may change places
		for _, x := range logits {
			if x > logits[s.id]+eps {
				above++
			}
			if x > logits[s.id]-eps {
				level++
			}
		}
		if math.Abs(s.logit-logits[s.id]) > eps || above > i || level <= i {
			t.Errorf("%s, row %d: place %d is token %d with %g; it has %g and %d above it", norm, k, i, s.id, s.logit, logits[s.id], above)
		}
	}
}

func read(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dense reads W_U whole, [d_model][vocab].
func dense(t *testing.T, w *weights.Weight) [][]float32 {
	t.Helper()
	x, err := w.Dense()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for i := range w.In {
		out = append(out, x[i*w.Out:(i+1)*w.Out])
	}
	return out
}

// multiply is x · W + b - shift in float64.
func multiply(x []float32, w [][]float32, b []float32, shift float64) []float64 {
	out := make([]float64, len(w[0]))
	for j := range out {
		if b != nil {
			out[j] = float64(b[j])
		}
		for i := range x {
			out[j] += float64(x[i]) * float64(w[i][j])
		}
		out[j] -= shift
	}
	return out
}

func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= tolerance) {
			t.Fatalf("%s[%d] is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// Files that cannot be looked at say why.
func TestOpenRefused(t *testing.T) {
	if _, err := openPath(t, "nothing.onnx", Options{Norm: NormRaw}); err == nil || hint.Of(err) == "" {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := openPath(t, filepath.Join(fixtures, "refused"), Options{Norm: NormRaw}); err == nil {
		t.Error("a folder without a model was opened")
	} else if !strings.Contains(err.Error(), "open model") {
		t.Error(err)
	}
	m, err := graph.Load(filepath.Join(fixtures, "torchscript-op17-mask.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newCoordinates(NormFinal, &models.Layout{DModel: 32, Bodies: []*models.Body{{}}}, nil); err == nil || hint.Of(err) != "use --norm raw" {
		t.Errorf("no final norm: %v, hint %q", err, hint.Of(err))
	}
	e := m.Edit()
	e.ReplaceOutput(l.Bodies[0].Logits, l.Bodies[0].Norm.Out)
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(t.TempDir(), "hidden.onnx")
	if _, err := graph.Save(t.Context(), m, hidden, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	if _, err := openPath(t, hidden, Options{Norm: NormRaw}); err == nil || !strings.Contains(err.Error(), "the file ends in hidden states: it has no unembedding") {
		t.Errorf("a file without an unembedding: %v", err)
	}
}

// Some layers alone show what they show among all.
func TestLayers(t *testing.T) {
	for _, norm := range Norms {
		all, some := openDemo(t, Options{Norm: norm}), openDemo(t, Options{Norm: norm, Layers: []int{1, 4}})
		q := []Query{{Prompt: "People in Peru speak"}}
		a, err := all.Look(t.Context(), q, 5)
		if err != nil {
			t.Fatal(err)
		}
		b, err := some.Look(t.Context(), q, 5)
		if err != nil {
			t.Fatal(err)
		}
		n := all.Layout.Heads
		want := slices.Concat(a[0].Heads[n:2*n], a[0].Heads[4*n:5*n])
		if diff := cmp.Diff(want, b[0].Heads, cmpopts.EquateApprox(0, 1e-5)); diff != "" {
			t.Errorf("%s: %s", norm, diff)
		}
	}
}

// The scale is the root of the variance plus eps where the norm takes the mean away, else of the mean square.
func TestScale(t *testing.T) {
	for centred, want := range map[bool]float64{true: 10, false: 110} {
		c := &coordinates{eps: 5, centred: centred}
		if got := c.scale([]float32{7, 9, 11, 13}); math.Abs(got-math.Sqrt(want)) > 1e-12 {
			t.Errorf("centred %v: scale %g, want the root of %g", centred, got, want)
		}
	}
}

// A step that does not lead from the output of W_O to what joins the stream is refused.
func TestStep(t *testing.T) {
	measure := func(l *models.Layer, results [][]float32, joined ...float32) (*step, error) {
		j, err := openJoint(l, len(joined))
		if err != nil {
			t.Fatal(err)
		}
		return j.step(results, joined)
	}
	scaled := &models.Layer{Index: 3, Scaled: true}
	heads := [][]float32{{0.5, -3, 4}, {0.5, 1, 0}}
	s, err := measure(scaled, heads, 0.5, -1, 2)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{8, 6, 2}
	if s.apply(x); !slices.Equal(x, []float64{4, 3, 1}) {
		t.Errorf("half of it is %v", x)
	}
	if _, err := measure(scaled, heads, 0.5, 1, 2); err == nil || !strings.Contains(err.Error(), "layer 3: what attention adds to the stream is not") {
		t.Errorf("no multiple: %v", err)
	}
	normed := &models.Layer{PostNorm: &models.Norm{Kind: models.RMSNorm}}
	if _, err = measure(normed, [][]float32{{2, -2, 2}}, 1, -1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err = measure(normed, heads, 1, -2, 4); err == nil {
		t.Error("a norm that was not applied was taken")
	}
}

// A wide gain is on disk, and the file is closed once its session is open.
func TestJointOfClosedFile(t *testing.T) {
	const d = 512
	gain := make([]float32, d)
	for i := range gain {
		gain[i] = 3
	}
	m, err := graph.Parse("ir 8\nopset 17\ngraph g {\nin x: float32[n]\ny = Identity(x)\nout y\n}")
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	e.Const(m.Graph, "gain", graph.NewFloat32(gain, d))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "wide.onnx")
	if _, err := graph.Save(t.Context(), m, path, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	if m, err = graph.Load(path); err != nil {
		t.Fatal(err)
	}
	j, err := openJoint(&models.Layer{PostNorm: &models.Norm{Kind: models.RMSNorm, Gamma: m.Graph.Lookup("gain")}}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	ones, joined := slices.Repeat([]float32{1}, d), slices.Repeat([]float32{3}, d)
	if _, err := j.step([][]float32{ones}, joined); err != nil {
		t.Error(err)
	}
}
