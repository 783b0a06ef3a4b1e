package steer

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// What is stored at a phrase does, in every row that has the phrase, what the ports do at its last token. In a text without the
// phrase, and with its tokens in another order, every float32 file gives the bits of the original.
func TestPhrasesActWhereTheyAre(t *testing.T) {
	for _, c := range fixtures(t) {
		t.Run(strings.TrimSuffix(c.File, ".onnx"), func(t *testing.T) {
			x := &intervening{T: t, fixture: c}
			readJSON(t, filepath.Join(testdata, "interventions", strings.TrimPrefix(filepath.Base(c.Ref), "ref_")), &x.ref)
			x.open()
			x.phrases()
		})
	}
}

// phrases stores a replacement at every site of a layer and compares it with the ports.
func (x *intervening) phrases() {
	x.Helper()
	ids := x.ref.InputIDs[0][:x.n]
	layer := x.layout.Layers / 2
	end := len(ids) - 1 - len(ids)/3
	present := slices.Clone(ids[max(0, end-2) : end+1])
	absent := slices.Clone(present)
	slices.Reverse(absent)
	for occurs(x.ref.InputIDs, absent, int(x.n)) {
		absent[0]++
	}
	long := slices.Repeat([]int64{ids[0]}, int(x.n)+2) // longer than the text
	if length := x.layout.Tokens().Type().Dims[1].Size; length > 0 {
		long = absent
	}
	var baked, off []rewrite.Bake
	var plan intervention.Plan
	for _, site := range models.Sites() {
		if site.Intervention().Missing(x.layout.Bodies[0].Layers[layer]) != "" {
			continue
		}
		v := make([]float32, site.Intervention().MemoryLen(x.layout))
		for i := range v {
			v[i] = float32(math.Sin(float64(i)))
		}
		at := models.Baked{Site: site, Layer: layer, Keep: new(float64), Tau: 0.75, Phrase: "a phrase", Tokens: [][]int64{long, present}}
		baked = append(baked, rewrite.Bake{Baked: at, Vector: v})
		at.Tokens = [][]int64{absent, long}
		off = append(off, rewrite.Bake{Baked: at, Vector: v})
		for _, p := range endsOf(ids, present) {
			position, err := intervention.ParsePositions(fmt.Sprint(p))
			if err != nil {
				x.Fatal(err)
			}
			plan = append(plan, intervention.Change{Site: site, Layer: layer, Tau: 0.75, Vector: v, Positions: position})
		}
	}
	logits, level, atol := x.layout.Logits().Name(), runtime.Unmodified, float32Atol
	if !x.exact {
		level, atol = runtime.Optimized, x.atol
	}
	got := x.session(level, decoder.Apply(rewrite.Request{Bake: baked}))(nothing)
	clean := x.session(level)(nothing)
	want := x.session(level, decoder.Apply(RequestOf(plan, nil)))(func(feeds map[string]*graph.Tensor) {
		changed, err := plan.Feeds(x.layout, intervention.Span{To: len(ids), Prompt: len(ids)})
		if err != nil {
			x.Fatal(err)
		}
		maps.Copy(feeds, changed)
	})
	row := func(v *graph.Tensor) []float32 { // the ports act in every row, the phrase is in the first
		f := floats(x.T, logits, v)
		return f[:len(f)/len(x.ref.InputIDs)]
	}
	within(x.T, "a phrase and ports", float64s(row(got[logits])), float64s(row(want[logits])), atol)
	if slices.Equal(row(got[logits]), row(clean[logits])) {
		x.Error("the phrase has no effect")
	}
	if !x.exact {
		return
	}
	others := x.session(level, decoder.Apply(rewrite.Request{Bake: off}))(nothing)
	for name, want := range clean {
		if !slices.Equal(floats(x.T, name, others[name]), floats(x.T, name, want)) {
			x.Errorf("without the phrase: %s is not that of the original, bit for bit", name)
		}
	}
}

// endsOf returns the positions of ids at which a sequence ends.
func endsOf(ids, sequence []int64) (out []int) {
	for p := len(sequence) - 1; p < len(ids); p++ {
		if slices.Equal(ids[p+1-len(sequence):p+1], sequence) {
			out = append(out, p)
		}
	}
	return out
}

func occurs(rows [][]int64, sequence []int64, n int) bool {
	return slices.ContainsFunc(rows, func(ids []int64) bool { return len(endsOf(ids[:n], sequence)) > 0 })
}

func float64s(x []float32) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = float64(x[i])
	}
	return out
}
