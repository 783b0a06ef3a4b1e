package rewrite

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// Making half of a request and then the other half, with the file recognised again in between, must give the same model as
// the whole request, except for names of inner values.
func TestSplitRequests(t *testing.T) {
	type part struct {
		name string
		add  func(req *Request, l *models.Layout)
	}
	parts := []part{
		{"expose", func(req *Request, l *models.Layout) { req.Expose = everything(l).Expose }},
		{"inject", func(req *Request, l *models.Layout) { req.Inject = append(req.Inject, attn(upper(l)...)...) }},
		{"inject mlp_out", func(req *Request, l *models.Layout) { req.Inject = append(req.Inject, mlp(upper(l)...)...) }},
		{"bake", func(req *Request, l *models.Layout) {
			req.Bake = append(req.Bake, Bake{models.Baked{Layer: 0, Tau: 2}, slices.Repeat([]float32{0.5}, l.DModel)})
		}},
		{"bake at mlp_out", func(req *Request, l *models.Layout) {
			req.Bake = append(req.Bake, Bake{models.Baked{Site: models.PortMLPOut, Layer: 0, Tau: 2}, slices.Repeat([]float32{0.5}, l.DModel)})
		}},
		{"prefill", func(req *Request, _ *models.Layout) { req.Prefill = true }},
		{"last logits", func(req *Request, _ *models.Layout) { req.LastLogits = true }},
	}
	n := 0
	for _, path := range fixtures(t) {
		original, _ := load(t, path)
		for _, first := range parts {
			for _, second := range parts {
				if first.name == second.name {
					continue
				}
				t.Run(filepath.Base(path)+"/"+first.name+", "+second.name, func(t *testing.T) {
					often(t, &n)
					apply := func(m *graph.Model, add ...part) error {
						l, err := tryLocate(t, m)
						if err != nil {
							return err
						}
						var req Request
						for _, p := range add {
							p.add(&req, l)
						}
						_, _, err = Apply(t.Context(), m, l, req)
						return err
					}
					whole, halves := original.Clone(), original.Clone()
					wantErr := apply(whole, first, second)
					err := apply(halves, first)
					if err == nil {
						err = apply(halves, second)
					}
					if fmt.Sprint(err) != fmt.Sprint(wantErr) {
						t.Fatalf("in halves: %v, at once: %v", err, wantErr)
					}
					if err != nil {
						return
					}
					if diff := cmp.Diff(meaning(t, whole), meaning(t, halves)); diff != "" {
						t.Errorf("-at once +in halves\n%s", diff)
					}
				})
			}
		}
	}
}

// upper returns layer 1 and, if there are three layers, the last.
func upper(l *models.Layout) []int { return []int{1, l.Layers - 1}[:l.Layers-1] }

// meaning describes a model without the names of its inner values: its inputs, its manifest, and for every output a digest
// of its computation.
func meaning(t *testing.T, m *graph.Model) []string {
	t.Helper()
	man, err := models.ReadManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(man)
	if err != nil {
		t.Fatal(err)
	}
	// The ports are in the order of the requests.
	ports := strings.Split(string(text), `{"name":`)
	slices.Sort(ports)
	out := []string{fmt.Sprint(len(ports))}
	for _, p := range ports {
		out = append(out, strings.TrimRight(p, ",]}"))
	}
	var lines []string
	for _, v := range m.Graph.Inputs() {
		lines = append(lines, fmt.Sprint("in ", v.Name(), " ", v.Type()))
	}
	d := digests{}
	for _, v := range m.Graph.Outputs() {
		lines = append(lines, fmt.Sprint("out ", v.Name(), " ", v.Type(), " ", d.value(v)))
	}
	slices.Sort(lines)
	return append(out, lines...)
}

// digests holds the digests of values computed so far.
type digests map[*graph.Value]string

func (d digests) value(v *graph.Value) string {
	if known, ok := d[v]; ok {
		return known
	}
	text := ""
	switch n := v.Producer(); {
	case v == nil:
		text = "nothing"
	case v.IsInput():
		text = "input " + v.Name()
	case v.Const() != nil:
		text = d.constant(v.Const())
	default:
		text = fmt.Sprint(n.FullOp(), v.Index())
		for _, in := range n.Inputs() {
			text += " " + d.value(in)
		}
		names := n.AttrNames()
		slices.Sort(names)
		for _, name := range names {
			text += fmt.Sprint(" ", name, n.Int(name, 0), n.Float(name, 0), n.Str(name, ""), n.Ints(name), d.constant(n.Tensor(name)))
		}
		for _, b := range n.Branches() { // the branch's output at this index
			text += " " + d.value(b.Outputs()[v.Index()])
		}
	}
	d[v] = fmt.Sprintf("%.8x", sha256.Sum256([]byte(text)))
	return d[v]
}

func (d digests) constant(c *graph.Const) string {
	if c == nil {
		return ""
	}
	if at, large := c.Span(); large {
		return at.String()
	}
	x, err := c.Load()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(c.DType, c.Dims, x.Data)
}
