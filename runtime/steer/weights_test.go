package steer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// ends are what a file computes at its two ends for some prompts of equal length, a row for each position.
type ends struct {
	layout       *models.Layout
	tokens       []int64
	length       int         // of a prompt
	embedded     [][]float32 // the stream before the first layer
	last, logits [][]float32 // the stream after the last layer, and what the file makes of it; nil in a file without logits
	coarse       bool        // numbers of the file are rounded where it runs and not where they are read
}

// The tables that are read from a file are what the file computes with: rows of W_E are the stream before the first layer, and the
// stream after the last one, normalised and times W_U, is the logits.
func TestWeightsAreWhatRuns(t *testing.T) {
	lists, err := filepath.Glob(filepath.Join(testdata, "*", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range append(lists, filepath.Join(testdata, "cases.json")) {
		var cases []fixture
		readJSON(t, list, &cases)
		for _, c := range cases {
			t.Run(c.File, func(t *testing.T) {
				e := runEnds(t, filepath.Join(filepath.Dir(list), c.File))
				e.coarse = c.Atol > 1e-4
				checkEmbed(t, e)
				if e.logits != nil {
					checkUnembed(t, e)
				}
			})
		}
	}
}

// runEnds runs a file on the first and the last tokens of its vocabulary and on some in between.
func runEnds(t *testing.T, path string) *ends {
	t.Helper()
	m, err := decoder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	l, err := m.Locate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := l.Layers - 1
	var req rewrite.Request
	for _, p := range []struct {
		kind  models.PortKind
		layer int
	}{{models.PortResidPre, 0}, {models.PortResidPost, n}} {
		x := missingPorts(p.kind, l, m.Manifest, nil)[0]
		x.Layers = []int{p.layer}
		req.Expose = append(req.Expose, x)
	}
	s, err := m.Session(t.Context(), orttest.Host(t), runtime.Options{Threads: 1}, decoder.Apply(req))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := s.Signature
	e := &ends{layout: l, length: 8}
	if in.Length > 0 {
		e.length = int(in.Length)
	}
	r := rand.New(rand.NewPCG(3, 5))
	for i := range int64(3 * e.length) {
		k := int64(e.length)
		e.tokens = append(e.tokens, [...]int64{i, l.Embed.In - 1 - i%k, r.Int64N(l.Embed.In)}[i/k])
	}
	for prompt := range slices.Chunk(e.tokens, e.length) {
		batch := make([][]int64, max(1, in.Batch))
		for i := range batch {
			batch[i] = prompt
		}
		feeds, err := in.Feeds(batch)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Run(t.Context(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		rows := func(name string, width int) (rows [][]float32) {
			x, err := out[name].Float32s()
			if err != nil {
				t.Fatal(err)
			}
			for row := range slices.Chunk(x, width) {
				rows = append(rows, row)
			}
			return rows[:e.length] // of the batch, the first prompt
		}
		e.embedded = append(e.embedded, rows(models.PortResidPre.Name(0), l.DModel)...)
		if v := l.Logits(); v != nil {
			e.last = append(e.last, rows(models.PortResidPost.Name(n), l.DModel)...)
			e.logits = append(e.logits, rows(v.Name(), l.Vocab)...)
		}
	}
	return e
}

// checkEmbed compares rows of W_E with the stream before the first layer. Where positions are added, what two tokens have at the same
// position differs by what their rows do. Where a norm follows (BLOOM), only what is linear in the normalised rows can be compared.
func checkEmbed(t *testing.T, e *ends) {
	t.Helper()
	var table [][]float32
	for _, id := range e.tokens {
		row, err := e.layout.Embed.Row(id)
		if err != nil {
			t.Fatal(err)
		}
		table = append(table, row)
	}
	all := differ{t: t, coarse: e.coarse}
	d := e.layout.DModel
	for k, row := range table {
		base := k % e.length // at the same position of the first prompt
		for i := range d {
			got, want := float64(e.embedded[k][i]), float64(row[i])
			switch {
			case normedEmbeddings(e.layout):
				got, want = crossed(t, e.embedded, table, k, i)
			case e.layout.PositionKind == models.LearnedPositions:
				got, want = got-float64(e.embedded[base][i]), want-float64(table[base][i])
			}
			all.see(func() string { return fmt.Sprintf("W_E[%d, %d]", e.tokens[k], i) }, want, got)
		}
	}
	all.done("W_E")
}

// crossed gives two products that are equal where column i of the stream is a line in column i of the normalised rows.
func crossed(t *testing.T, stream, table [][]float32, k, i int) (a, b float64) {
	norm := models.Norm{Kind: models.LayerNorm, Eps: 1e-5}
	unit := func(k int) float64 { return normedRow(t, &norm, table[k])[i] }
	at := func(k int) float64 { return float64(stream[k][i]) }
	return (at(k) - at(0)) * (unit(1) - unit(0)), (at(1) - at(0)) * (unit(k) - unit(0))
}

// normedEmbeddings reports whether a norm is between the tables of embeddings and the first layer.
func normedEmbeddings(l *models.Layout) bool {
	first := l.Bodies[0].Layers[0].ResidPre[0]
	before := ops.Through(ops.Flows | ops.Pointwise | ops.Normalise | ops.Reduce)
	for v := range ops.Reach(ops.Unlimited(), before, first) {
		n := v.Producer()
		if o := ops.Of(n); o.In(ops.Reduce) || o.Norm != nil && (o.Norm.Sum == 0 || v.Index() != o.Norm.Sum) {
			return true
		}
	}
	return false
}

// checkUnembed computes the logits of the last stream from what is read: the norm, W_U, b_U, the soft cap.
func checkUnembed(t *testing.T, e *ends) {
	t.Helper()
	all := differ{t: t, coarse: e.coarse}
	l, norm := e.layout, e.layout.Bodies[0].Norm
	bias, err := l.UnembedBias()
	if err != nil {
		t.Fatal(err)
	}
	var last [][]float64
	for _, row := range e.last {
		last = append(last, normedRow(t, norm, row))
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(append(e.tokens, int64(l.Vocab)-1)))) {
		if id >= int64(l.Vocab) {
			continue
		}
		column, err := l.Unembed.Col(id)
		if err != nil {
			t.Fatal(err)
		}
		for k, stream := range last {
			want := 0.0
			for i, x := range stream {
				want += x * float64(column[i])
			}
			if bias != nil {
				want += float64(bias[id])
			}
			if l.SoftCap != 0 {
				want = l.SoftCap * math.Tanh(want/l.SoftCap)
			}
			all.see(func() string { return fmt.Sprintf("logit of %d at row %d", id, k) }, want, float64(e.logits[k][id]))
		}
	}
	all.done("logits")
}

// normedRow is a row of the stream after a norm.
func normedRow(t *testing.T, norm *models.Norm, row []float32) []float64 {
	t.Helper()
	wide := make([]float64, len(row))
	for i, x := range row {
		wide[i] = float64(x)
	}
	out, err := normed(norm, wide)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// differ compares what was read with what ran, and fails the test where one number is off; where either is rounded, on the whole.
type differ struct {
	t              *testing.T
	coarse         bool
	square, around float64 // sums of squares: of differences, and of what ran
}

func (d *differ) see(what func() string, read, run float64) {
	d.t.Helper()
	if math.IsNaN(read) || math.IsNaN(run) || !d.coarse && math.Abs(read-run) > 5e-6*(1+math.Abs(run)) {
		d.t.Fatalf("%s: read as %g, runs as %g", what(), read, run)
	}
	d.square, d.around = d.square+(read-run)*(read-run), d.around+run*run
}

func (d *differ) done(what string) {
	d.t.Helper()
	if off := math.Sqrt(d.square / d.around); !(off < 0.05) {
		d.t.Errorf("%s: what is read is %.2g of its size away from what runs", what, off)
	}
}
