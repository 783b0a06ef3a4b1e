package lens

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// Every fixture: the stream at every layer and position is PyTorch's stream through the final norm and W_U in float64, the last row is
// PyTorch's logits, the parts of a logit are those of PyTorch's activations and add up to it, and patterns are PyTorch's.
func TestPartsOfFixtures(t *testing.T) {
	lists, err := filepath.Glob(filepath.Join(fixtures, "*", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	patterns := 0
	for _, list := range append(lists, filepath.Join(fixtures, "cases.json")) {
		var cases []fixture
		read(t, list, &cases)
		for _, c := range cases {
			t.Run(c.File, func(t *testing.T) { patterns += c.checkParts(t, filepath.Dir(list)) })
		}
	}
	if patterns < 30*patternsShown {
		t.Errorf("%d patterns were compared", patterns)
	}
}

func (c fixture) checkParts(t *testing.T, dir string) (patterns int) {
	var ref reference
	read(t, filepath.Join(dir, c.Ref), &ref)
	if c.First {
		ref.InputIDs[0] = ref.InputIDs[0][:1]
	}
	l, err := openPath(t, filepath.Join(dir, c.File), Options{Norm: NormFinal, Texts: memory.PaperTexts, Runtime: runtime.Options{Threads: 1},
		Parts: Parts{Stream: true, Attribution: true, Patterns: true, SkipHeads: true, Lenient: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, x := range l.absent {
		if x.Part != "patterns" {
			t.Errorf("%s: %s", x.Part, x.Why)
		}
	}
	views := []View{{Tokens: ref.InputIDs[0]}, {Tokens: ref.InputIDs[0]}}
	if err := l.see(t.Context(), views[:1], 7, 5); err != nil {
		t.Fatal(err)
	}
	l.parts.Patterns, l.parts.Stream = false, false
	if err := l.see(t.Context(), views[1:], -1, 5); err != nil { // whatever is likeliest
		t.Fatal(err)
	}
	m := newModelOf(t, l, &ref, c.ATol)
	m.checkStream(views[0].Stream)
	for _, v := range views {
		m.checkAttribution(v.Attribution)
	}
	if a := views[1].Attribution; a.Rank != 0 {
		t.Errorf("the likeliest token has rank %d", a.Rank)
	}
	for _, p := range views[0].Patterns {
		if _, ok := ref.Activations[models.PortPattern.Name(p.Layer)]; ok { // nanoGPT's reference has none
			m.checkPattern(p)
			patterns++
		}
	}
	return patterns
}

// modelOf is the end of a fixture in float64: PyTorch's activations, the file's W_U and final norm.
type modelOf struct {
	t           *testing.T
	l           *Lens
	ref         *reference
	tolerance   float64
	w           [][]float32 // [d_model][vocab]
	gamma, beta []float32
	kind        models.NormKind
	eps         float64
}

func newModelOf(t *testing.T, l *Lens, ref *reference, tolerance float64) *modelOf {
	m := &modelOf{t: t, l: l, ref: ref, tolerance: tolerance, w: dense(t, l.Layout.Unembed)}
	n := l.Layout.Bodies[0].Norm
	m.kind, m.eps = n.Kind, n.Eps
	var err error
	if n.Gamma != nil {
		if m.gamma, err = weights.Vector(n.Gamma); err != nil {
			t.Fatal(err)
		}
	}
	if n.Beta != nil {
		if m.beta, err = weights.Vector(n.Beta); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// at cuts a position of row 0 from an activation of PyTorch.
func (m *modelOf) at(name string, pos, n int) []float64 {
	a, ok := m.ref.Activations[name]
	if !ok {
		m.t.Fatalf("the reference has no %s", name)
	}
	return floats64(a.Data[pos*n:][:n])
}

// stream is PyTorch's residual stream before a layer; that of the layer after the last one is after the last layer.
func (m *modelOf) stream(layer, pos int) []float64 {
	d := m.ref.DModel
	if layer < m.l.Layout.Layers {
		return m.at(models.PortResidPre.Name(layer), pos, d)
	}
	x := m.at(models.PortResidPre.Name(layer-1), pos, d)
	for _, kind := range []models.PortKind{models.PortAttnOut, models.PortMLPOut} {
		for i, v := range m.at(kind.Name(layer-1), pos, d) {
			x[i] += v
		}
	}
	return x
}

// sigma is what the final norm divides by, and mean what it takes away first.
func (m *modelOf) sigma(x []float64) (mean, sigma float64) {
	if m.kind == models.LayerNorm {
		for _, v := range x {
			mean += v / float64(len(x))
		}
	}
	for _, v := range x {
		sigma += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, math.Sqrt(sigma + m.eps)
}

func (m *modelOf) gain(i int) float64 {
	if m.gamma == nil {
		return 1
	}
	return float64(m.gamma[i])
}

// logits takes a stream through the rest of the model.
func (m *modelOf) logits(x []float64) []float64 {
	mean, sigma := m.sigma(x)
	out := make([]float64, m.l.Layout.Vocab)
	for i, v := range x {
		v = (v - mean) / sigma * m.gain(i)
		if m.beta != nil {
			v += float64(m.beta[i])
		}
		for id := range out {
			out[id] += v * float64(m.w[i][id])
		}
	}
	for id := range out {
		if m.l.bias != nil {
			out[id] += float64(m.l.bias[id])
		}
		if c := m.l.Layout.SoftCap; c != 0 {
			out[id] = c * math.Tanh(out[id]/c)
		}
	}
	return out
}

func (m *modelOf) checkStream(s *Stream) {
	m.t.Helper()
	if len(s.Rows) != m.l.Layout.Layers+1 || s.Rows[0].Name() != "embed" || s.Rows[1].Name() != "0" {
		m.t.Fatalf("%d rows, the first named %s", len(s.Rows), s.Rows[0].Name())
	}
	for layer, row := range s.Rows {
		if len(row.Cells) != len(m.ref.InputIDs[0]) {
			m.t.Fatalf("%s: %d positions of %d", row.Hook, len(row.Cells), len(m.ref.InputIDs[0]))
		}
		for pos, c := range row.Cells {
			m.checkCell(row.Hook, c, m.logits(m.stream(layer, pos)))
			if layer == m.l.Layout.Layers {
				m.checkCell("logits", c, floats64(m.ref.Logits.Data[pos*m.l.Layout.Vocab:][:m.l.Layout.Vocab]))
			}
		}
	}
}

func (m *modelOf) checkCell(what string, c StreamCell, logits []float64) {
	m.t.Helper()
	logZ := math.Inf(-1)
	for _, x := range logits {
		logZ = logAdd(logZ, x)
	}
	eps := 5 * m.tolerance
	for i, tok := range append(append([]Token{}, c.Top...), c.Answer.Token) {
		if x := logits[tok.ID]; !(math.Abs(tok.Logit-x) <= eps) || !(math.Abs(tok.LogP-(x-logZ)) <= eps) {
			m.t.Fatalf("%s: token %d has logit %g and log p %g, want %g and %g", what, tok.ID, tok.Logit, tok.LogP, x, x-logZ)
		}
		above, level := 0, 0
		for _, x := range logits {
			if x > logits[tok.ID]+2*eps {
				above++
			}
			if x > logits[tok.ID]-2*eps {
				level++
			}
		}
		if i == len(c.Top) {
			i = c.Answer.Rank
		}
		if i < above || i >= level {
			m.t.Fatalf("%s: token %d has rank %d, want %d to %d", what, tok.ID, i, above, level-1)
		}
	}
}

// checkAttribution multiplies PyTorch's activations with the column of W_U, part by part.
func (m *modelOf) checkAttribution(a *Attribution) {
	m.t.Helper()
	layers, d, last := m.l.Layout.Layers, m.ref.DModel, len(m.ref.InputIDs[0])-1
	id := a.Answer.ID
	_, sigma := m.sigma(m.stream(layers, last))
	part := func(x []float64) (sum float64) {
		mean, _ := m.sigma(x)
		for i, v := range x {
			sum += (v - mean) / sigma * m.gain(i) * float64(m.w[i][id])
		}
		return sum
	}
	logit := float64(m.ref.Logits.Data[last*m.l.Layout.Vocab:][:m.l.Layout.Vocab][id])
	want := map[ComponentKind]map[int]float64{PartMLP: {}, PartBO: {}, PartEmbed: {-1: part(m.stream(0, last))}}
	total := want[PartEmbed][-1]
	for i, x := range m.l.Layout.Bodies[0].Layers {
		attention := part(m.at(models.PortAttnOut.Name(i), last, d))
		out := m.at(models.PortAttnOut.Name(i), last, d)
		if joinsLater(x) {
			out = m.at(models.PortOut.Name(i), last, d)
		}
		heads := 0.0
		for h := range m.ref.Heads {
			result := m.at(models.PortResult.Name(i), last, m.ref.Heads*d)[h*d:][:d]
			for k, v := range m.at(models.PortAttnOut.Name(i), last, d) {
				result[k] *= v / out[k]
			}
			got := a.Parts[m.index(a, PartHead, i, h)].Logit
			if x := part(result); !(math.Abs(got-x) <= 10*m.tolerance) {
				m.t.Fatalf("head %d.%d adds %g to the logit of token %d, want %g", i, h, got, id, x)
			}
			heads += part(result)
		}
		want[PartBO][i] = attention - heads
		if hasMLP(x) {
			want[PartMLP][i] = part(m.at(models.PortMLPOut.Name(i), last, d))
		}
		total += attention + want[PartMLP][i]
	}
	for kind, layers := range want {
		for layer, x := range layers {
			if got := a.Of(kind, layer); !(math.Abs(got-x) <= 20*m.tolerance) {
				m.t.Fatalf("%s of layer %d adds %g to the logit of token %d, want %g", kind, layer, got, id, x)
			}
		}
	}
	sum := 0.0
	for _, c := range a.Parts {
		sum += c.Logit
	}
	if math.Abs(sum-a.Sum) > 1e-9 {
		m.t.Errorf("the parts add up to %g, not to %g", sum, a.Sum)
	}
	total += a.Of(PartConstant, -1)
	for what, x := range map[string]float64{"sum": a.Sum, "sum of PyTorch's parts": total} {
		if c := m.l.Layout.SoftCap; c != 0 {
			x = c * math.Tanh(x/c)
		}
		if !(math.Abs(x-logit) <= 10*m.tolerance) {
			m.t.Errorf("token %d: %s %g, the logit is %g", id, what, x, logit)
		}
	}
	if !(math.Abs(a.Answer.Logit-logit) <= m.tolerance) {
		m.t.Errorf("token %d has logit %g, want %g", id, a.Answer.Logit, logit)
	}
}

func (m *modelOf) index(a *Attribution, kind ComponentKind, layer, head int) int {
	m.t.Helper()
	for k, c := range a.Parts {
		if c.Kind == kind && c.Layer == layer && c.Head == head {
			return k
		}
	}
	m.t.Fatalf("no %s %d of layer %d", kind, head, layer)
	return 0
}

func (m *modelOf) checkPattern(p Pattern) {
	m.t.Helper()
	n, all := len(m.ref.InputIDs[0]), m.ref.Activations[models.PortPattern.Name(p.Layer)]
	size := all.Shape[3]
	for q, row := range p.Weights {
		for k, w := range row {
			want := all.Data[(p.Head*size+q)*size+k]
			if !(math.Abs(float64(w-want)) <= m.tolerance) {
				m.t.Fatalf("head %v reads %g of position %d at %d, want %g", p.HeadAt, w, k, q, want)
			}
		}
		if len(row) != n {
			m.t.Fatalf("head %v: %d keys of %d", p.HeadAt, len(row), n)
		}
	}
}

// What a file cannot give is refused, or left out with the reason.
func TestPartsRefused(t *testing.T) {
	path := filepath.Join(fixtures, "ort-fused-attention.onnx")
	open := func(p Parts) (*Lens, error) {
		p.SkipHeads = true
		return openPath(t, path, Options{Norm: NormRaw, Parts: p, Runtime: runtime.Options{Threads: 1}})
	}
	if _, err := open(Parts{Patterns: true}); err == nil || !strings.Contains(err.Error(), "patterns: layer 0: no pattern: com.microsoft.Attention") {
		t.Errorf("patterns of a fused file: %v", err)
	}
	if _, err := open(Parts{Patterns: true, Of: []HeadAt{{0, 4}}}); err == nil || !strings.Contains(err.Error(), "no head 0.4: the model has layers 0 to 2 of heads 0 to 3") {
		t.Errorf("a head too many: %v", err)
	}
	l, err := open(Parts{Stream: true, Patterns: true, Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if len(l.absent) != 1 || l.absent[0].Part != "patterns" || !strings.HasPrefix(l.absent[0].Why, "layer 0: no pattern") || !l.parts.Stream || l.parts.Patterns {
		t.Errorf("left out: %+v, kept: %+v", l.absent, l.parts)
	}
}

// What is stored in the file is a part of its own, at every site, and the parts still add up.
func TestAttributionOfBaked(t *testing.T) {
	half, none := 0.5, 0.0
	for _, baked := range []models.Baked{
		{Layer: 1, Tau: 3}, {Site: models.PortMLPOut, Layer: 2, Tau: -2}, {Site: models.PortResidPre, Layer: 0, Tau: 2}, {Site: models.PortResidPre, Layer: 1, Tau: 2},
		{Site: models.PortResidPost, Layer: 1, Tau: 3}, {Site: models.PortResidPost, Layer: 2, Tau: 3}, {Site: models.PortMLPOut, Layer: 0, Keep: &none},
		{Layer: 2, Keep: &half, Tau: 1},
	} {
		t.Run(fmt.Sprintf("%s@%d tau %g keep %v", baked.At().Site, baked.Layer, baked.Tau, baked.Keep != nil), func(t *testing.T) { checkBaked(t, baked) })
	}
}

func checkBaked(t *testing.T, baked models.Baked) {
	m, err := graph.Load(filepath.Join(fixtures, "torchscript-op17-mask.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	layout, err := recognise.Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	vector := make([]float32, layout.DModel)
	for i := range vector {
		vector[i] = float32(i%5) - 2
	}
	bake := rewrite.Bake{Baked: baked, Vector: vector}
	if baked.Tau == 0 {
		bake.Vector = nil
	}
	if _, _, err := rewrite.Apply(t.Context(), m, layout, rewrite.Request{Bake: []rewrite.Bake{bake}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "baked.onnx")
	if _, err := graph.Save(t.Context(), m, path, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	parts := Parts{Stream: true, Attribution: true, SkipHeads: true}
	l, err := openPath(t, path, Options{Norm: NormFinal, Parts: parts, Runtime: runtime.Options{Threads: 1}})
	if baked.Site == models.PortResidPost && baked.Layer == layout.Layers-1 { // no port shows what the final norm reads
		const want = "the file stores an intervention at resid_post of the last layer: no port shows what the final norm reads"
		for _, o := range []Options{{Norm: NormRaw, Parts: parts}, {Norm: NormFinal}} {
			if _, err := openPath(t, path, o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	views := []View{{Tokens: []int64{5, 9, 2}}}
	if err := l.see(t.Context(), views, 11, 1); err != nil {
		t.Fatal(err)
	}
	a := views[0].Attribution
	if math.Abs(a.Sum-a.Answer.Logit) > 1e-5 {
		t.Errorf("the parts add up to %g, the logit is %g", a.Sum, a.Answer.Logit)
	}
	rows := views[0].Stream.Rows
	if last := rows[len(rows)-1].Cells[2].Answer; math.Abs(last.Logit-a.Answer.Logit) > 1e-5 {
		t.Errorf("the last row of the stream gives a logit of %g, the model %g", last.Logit, a.Answer.Logit)
	}
	s, err := l.heads.sight(t.Context(), views[0].Tokens, l.parts)
	if err != nil {
		t.Fatal(err)
	}
	column := make([]float32, layout.DModel)
	for i, row := range dense(t, l.Layout.Unembed) {
		column[i] = row[11]
	}
	want, stream := 0.0, s.posts[len(s.posts)-1]
	for i, u := range l.ending.direction(column, stream[len(stream)-layout.DModel:]) {
		want += baked.Tau * float64(vector[i]) * u
	}
	if got := a.Of(PartBaked, -1); baked.Keep == nil && (math.Abs(want) < 0.01 || math.Abs(got-want) > 1e-5) {
		t.Errorf("the memory adds %g to the logit, want %g", got, want)
	}
	if baked.Layer != 1 || baked.Site != "" {
		return
	}
	l.ending.norm.eps += 10 // a model that is not the one that was recognised
	if err := l.see(t.Context(), views, 11, 1); err == nil || !strings.Contains(err.Error(), "attribution: the parts of the stream add up to a logit of") {
		t.Errorf("parts that do not add up: %v", err)
	}
}
