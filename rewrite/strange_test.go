package rewrite

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// nodeLine matches a node in text form: results, operation, inputs, attributes.
var nodeLine = regexp.MustCompile(`^(\s+.* = )([A-Za-z0-9_.]+)\((.*?)\)(.*)$`)

// TestStrangeNodes removes inputs from nodes of the fixtures, or gives them other inputs, another operation or no
// attributes. Such a model, which no host would accept, must be recognised and changed, or refused, without a panic.
func TestStrangeNodes(t *testing.T) {
	type source struct {
		lines []string
		nodes []int
	}
	var sources []source
	ops := []string{"com.microsoft.PackedAttention", "com.microsoft.MatMulBnb4", "com.microsoft.GroupQueryAttention",
		"com.microsoft.MultiHeadAttention", "IsNaN", "SequenceAt", "Exp"}
	for _, path := range fixtures(t) {
		m, err := graph.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		s := source{lines: strings.Split(graph.Format(m), "\n")}
		for i, line := range s.lines {
			if n := nodeLine.FindStringSubmatch(line); n != nil {
				s.nodes = append(s.nodes, i)
				ops = append(ops, n[2])
			}
		}
		sources = append(sources, s)
	}
	slices.Sort(ops)
	ops = slices.Compact(ops)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(sources).Draw(t, "source")
		lines := slices.Clone(s.lines)
		for range rapid.IntRange(1, 2).Draw(t, "changes") {
			at := rapid.SampledFrom(s.nodes).Draw(t, "node")
			n := nodeLine.FindStringSubmatch(lines[at])
			if n == nil {
				continue
			}
			ins := strings.Split(n[3], ", ")
			i := rapid.IntRange(0, len(ins)-1).Draw(t, "input")
			switch rapid.SampledFrom([]string{"omit", "cut", "drop", "reverse", "other", "op", "plain"}).Draw(t, "change") {
			case "omit":
				ins[i] = "_"
			case "cut":
				ins = ins[:i]
			case "drop":
				ins = slices.Delete(ins, i, i+1)
			case "reverse":
				slices.Reverse(ins)
			case "other":
				if o := nodeLine.FindStringSubmatch(lines[rapid.SampledFrom(s.nodes).Draw(t, "donor")]); o != nil && o[3] != "" {
					ins[i] = rapid.SampledFrom(strings.Split(o[3], ", ")).Draw(t, "donated")
				}
			case "op":
				n[2] = rapid.SampledFrom(ops).Draw(t, "op")
			case "plain":
				n[4] = ""
			}
			lines[at] = n[1] + n[2] + "(" + strings.Join(ins, ", ") + ")" + n[4]
		}
		text := strings.Join(lines, "\n")
		read := func() (*graph.Model, *models.Layout) {
			m, err := graph.ParseIn(testdata, text)
			if err != nil {
				return nil, nil
			}
			l, err := recognise.Locate(t.Context(), m, nil)
			if err != nil {
				return nil, nil
			}
			return m, l
		}
		m, l := read()
		if l == nil {
			return
		}
		if in, err := inputs.Read(m, l); err == nil {
			_, _ = in.Feeds([][]int64{{1, 2, 3}})
		}
		for _, e := range []memory.Encoding{memory.EncodingEmbed, memory.EncodingUnembed} {
			_, _ = memory.Vector(l, []int64{1, 2}, e, memory.ConventionFolded)
		}
		for _, b := range l.Bodies {
			for _, layer := range b.Layers {
				_, _ = layer.WO.Dense()
			}
		}
		requests := []Request{{Inject: attn(allLayers(l)...)}, {Inject: mlp(allLayers(l)...)}, {Prefill: true}, {LastLogits: true},
			{Bake: []Bake{{models.Baked{Layer: l.Layers - 1, Tau: 1}, make([]float32, l.DModel)}}}}
		for _, k := range Kinds {
			requests = append(requests, Request{Expose: []Expose{{k, allLayers(l)}}})
		}
		for _, req := range requests {
			m, l := read()
			_, _, _ = Apply(t.Context(), m, l, req)
		}
		m, l = read()
		_, _, _ = FanOut(t.Context(), m, l, Grid{Sites: []models.PortKind{models.PortResidPre, models.PortAttnOut, models.PortMLPOut, models.PortResidPost}, Top: 3, Keep: true, Cache: true})
	})
}
