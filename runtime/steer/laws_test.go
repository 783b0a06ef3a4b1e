package steer

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// lawful runs a fixture with the ports that the laws need.
func lawful(t *testing.T, file string) *outcome {
	t.Helper()
	d, err := decoder.Open(filepath.Join(testdata, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	l, err := d.Locate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Session(t.Context(), orttest.Host(t), runtime.Options{Threads: 1}, decoder.Apply(rewrite.Request{Expose: lawPorts(l, nil)}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	feeds, err := s.Signature.Feeds([][]int64{{5, 17, 3, 90, 41}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Run(t.Context(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	return &outcome{layout: l, out: out}
}

// Every law finds the fault that it is there for: one number of one of its ports is off.
func TestLawsFindFaults(t *testing.T) {
	told := map[string]bool{}
	for _, file := range []string{"torchscript-op10.onnx", "gpt-j.onnx", "families/optimum-gemma2.onnx"} {
		r := lawful(t, file)
		if bad := r.broken(1); bad != nil {
			t.Fatalf("%s: %v", file, bad)
		}
		names := []string{r.layout.Logits().Name()}
		for _, k := range models.Outputs() {
			names = append(names, k.Name(1))
		}
		for _, name := range names {
			was := r.out[name]
			if was == nil {
				continue
			}
			r.out[name] = shiftedBy(t, was, 0.1)
			for _, law := range laws {
				told[law.what] = told[law.what] || slices.ContainsFunc(r.broken(1), func(s string) bool { return strings.Contains(s, ": "+law.what+": ") })
			}
			r.out[name] = was
		}
	}
	for _, law := range laws {
		if !told[law.what] && law.name != "heads add up to attn_out times a number" { // no fixture lacks the output of W_O
			t.Errorf("no fault was found by %q", law.what)
		}
	}
}

// shiftedBy is a tensor whose second and last number are larger: in a pattern, the first position attends to the second.
func shiftedBy(t *testing.T, x *graph.Tensor, by float32) *graph.Tensor {
	t.Helper()
	numbers, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	numbers = slices.Clone(numbers)
	numbers[1] += by
	numbers[len(numbers)-1] += by
	return graph.NewFloat32(numbers, x.Dims...)
}

// A check of several layers and equations is that of the one that fails worst.
func TestChecksOfLaws(t *testing.T) {
	stream, each := &law{name: "s", what: "a = b"}, &law{name: "h", each: true}
	got := checks([]finding{{stream, 0, 1, 2, ""}, {each, 0, 1, 2, "n"}, {each, 1, 3, 2, ""}, {stream, 1, 4, 2, "n"}, {stream, 2, 3, 2, ""}, {stream, 3, 1.5, 2, ""}})
	want := []Check{
		{Name: "s", Layer: 1, Got: 4, Want: "<= 2", Note: "n, a = b"}, {Name: "h", Got: 1, Want: "<= 2", OK: true, Note: "n"}, {Name: "h", Layer: 1, Got: 3, Want: "<= 2"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A file with an attention sink cuts the sink off the probabilities: what is left of a row adds up to less.
func TestRowsWithASink(t *testing.T) {
	m, err := graph.Parse(`ir 10
opset 21
graph g {
in x: float32[1, 2, 3, 4]
const from = int64[1] {0}
const to = int64[1] {3}
const axis = int64[1] {3}
p = Softmax(x)
half = Cast(p) {to: 10}
cut = Slice(p, from, to, axis)
last = Cast(cut) {to: 10}
out half
out last
}`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"p": true, "half": true, "cut": false, "last": false} {
		if got := attendsWholly(nil, &models.Layer{Pattern: m.Graph.Lookup(name)}); got != want {
			t.Errorf("%s: whole %v, want %v", name, got, want)
		}
	}
}
