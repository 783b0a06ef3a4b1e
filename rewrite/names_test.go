package rewrite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// every asks for a memory and a head's result at every layer.
func every(l *models.Layout) Request {
	layers := make([]int, l.Layers)
	for i := range layers {
		layers[i] = i
	}
	req := Request{Inject: []Inject{{Site: models.DefaultSite, Layers: layers}}}
	for _, k := range Kinds {
		if k.Port == models.PortResult || k.Port == models.PortAttnOut {
			req.Expose = append(req.Expose, Expose{Kind: k, Layers: layers})
		}
	}
	return req
}

// A file that already uses a port's name for something else is refused by name, and is not changed. Names that are not part of the
// signature are chosen freely, the same ones each time. A patched file says which ports it has.
func TestA15TakenNames(t *testing.T) {
	path := filepath.Join(testdata, "torchscript-op10.onnx")
	for _, port := range []models.Port{models.PortAttnOut.Input(models.PortMemory), models.PortAttnOut.Input(models.PortTau), models.PortAttnOut.Output(), models.PortResult.Output()} {
		for what, rename := range map[string]func(m *graph.Model, e *graph.Edit, name string){
			"a value":        func(m *graph.Model, e *graph.Edit, name string) { e.Rename(m.Graph.Nodes()[5].Out(0), name) },
			"an initializer": func(m *graph.Model, e *graph.Edit, name string) { e.Rename(m.Graph.Initializers()[0], name) },
			"the input":      func(m *graph.Model, e *graph.Edit, name string) { e.Rename(m.Graph.Inputs()[0], name) },
		} {
			t.Run(port.Name(1)+", "+what, func(t *testing.T) {
				m, err := graph.Load(path)
				if err != nil {
					t.Fatal(err)
				}
				e := m.Edit()
				rename(m, e, port.Name(1))
				if err := e.Commit(); err != nil {
					t.Fatal(err)
				}
				before := graph.Format(m)
				l := locate(t, m)
				if _, _, err := Apply(t.Context(), m, l, every(l)); err == nil || !strings.Contains(err.Error(), port.Name(1)) {
					t.Errorf("got %v, want an error that names %s", err, port.Name(1))
				}
				if graph.Format(m) != before {
					t.Error("the refused model was changed")
				}
			})
		}
	}
	patched := func() *graph.Model {
		m, l := load(t, path)
		e := m.Edit()
		for i, name := range []string{"blocks.1.attn.memory_1", "mem_3", "tau_3", "attn_out_3"} {
			e.Rename(m.Graph.Nodes()[5+i].Out(0), name)
		}
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		man, _, err := Apply(t.Context(), m, l, every(l))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Save(t.Context(), m, man, filepath.Join(t.TempDir(), "m.onnx"), graph.Embed, false); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := patched()
	if graph.Format(m) != graph.Format(patched()) {
		t.Error("other names the second time")
	}
	l := locate(t, m)
	_, _, err := Apply(t.Context(), m, l, every(l))
	if err == nil || !strings.Contains(err.Error(), "already exists") || hint.Of(err) != "onnx-inject inspect lists the ports the file has" {
		t.Errorf("a patched file: %v, hint %q", err, hint.Of(err))
	}
}

// An unknown operator or version matters only where the decoder must be understood.
func TestA17UnknownOperators(t *testing.T) {
	text := func(m *graph.Model) string { return graph.Format(m) }
	plain, err := graph.Load(filepath.Join(testdata, "torchscript-op17-mask.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for old, new := range map[string]string{"ir 8": "ir 999", "opset 17": "opset 999"} {
		src := strings.Replace(text(plain), "\n"+old+"\n", "\n"+new+"\n", 1)
		if strings.HasPrefix(text(plain), old) {
			src = strings.Replace(text(plain), old, new, 1)
		}
		if src == text(plain) {
			t.Fatalf("%q is not in the text", old)
		}
		m, err := graph.ParseIn(testdata, src)
		if err != nil {
			t.Fatalf("%s: %v", new, err)
		}
		l, err := recognise.Locate(t.Context(), m, nil)
		if err != nil {
			t.Fatalf("%s: %v", new, err)
		}
		if _, _, err := Apply(t.Context(), m, l, every(l)); err != nil {
			t.Errorf("%s: %v", new, err)
		}
	}
	unknown := func(op string) (*graph.Model, int) {
		m, err := graph.Load(filepath.Join(testdata, "torchscript-op17-mask.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		e, n := m.Edit(), 0
		for _, x := range m.Graph.Nodes() {
			if !x.Is(op) {
				continue
			}
			n++
			v := e.Node(m.Graph, graph.Spec{Op: op, Domain: "who.knows", Inputs: x.Inputs()})
			for _, u := range x.Out(0).Uses() {
				e.Redirect(u, v)
			}
		}
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		return m, n
	}
	for op, want := range map[string]string{"Tanh": "", "Softmax": "no attention found"} {
		m, n := unknown(op)
		if n < 2 {
			t.Fatalf("%d nodes of %s", n, op)
		}
		l, err := recognise.Locate(t.Context(), m, nil)
		if want == "" {
			if err != nil {
				t.Errorf("%s of an unknown domain: %v", op, err)
			} else if _, _, err := Apply(t.Context(), m, l, every(l)); err != nil {
				t.Errorf("%s of an unknown domain: %v", op, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of an unknown domain: got %v, want %q", op, err, want)
		}
	}
}
