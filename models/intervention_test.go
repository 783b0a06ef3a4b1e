package models

import (
	"fmt"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Every site must be complete: documentation, inputs with neutral values, and a separate operand in a layer.
func TestInterventions(t *testing.T) {
	l := &Layout{Heads: 12, DHead: 64, DModel: 768}
	use := func() graph.Use { return graph.Use{Node: &graph.Node{}} }
	place := func() Place { return Place{Uses: []graph.Use{use()}} }
	layer := &Layer{Join: use(), MLPJoin: use(), ZAt: place(), PreAt: place(), PostAt: place()}
	names, operands := map[string]bool{}, map[graph.Use]PortKind{}
	for _, kind := range Sites() {
		s := kind.Intervention()
		if s.Site != kind || s.Doc == "" || kind.Output().Doc == "" {
			t.Errorf("%s: %q", kind, s.Doc)
		}
		at := s.At(layer).Uses[0]
		if other, taken := operands[at]; taken || at.Node == nil {
			t.Errorf("%s changes the operand %v, as %s does", kind, at, other)
		}
		operands[at] = kind
		if why := s.Missing(layer); why != "" {
			t.Errorf("%s: %s", kind, why)
		}
		for _, p := range s.Inputs() {
			if p.Doc == "" || p.Site != kind || p.IO != "in" || p.Name(3) != s.Name(3, string(p.Kind)) {
				t.Errorf("%s: port %+v", kind, p)
			}
			for _, name := range append([]string{p.Name(3), p.Name(4)}, dimNames(p.InputType(3, l))...) {
				if names[name] {
					t.Errorf("%s: the name %s occurs twice", kind, name)
				}
				names[name] = true
			}
			off, err := p.Off(l).Float32s()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range off {
				if want := map[PortKind]float32{PortMemory: 0, PortTau: 0, PortKeep: 1}; x != want[p.Kind] {
					t.Errorf("%s: %s is off at %v", kind, p.Kind, x)
				}
			}
		}
	}
}

func dimNames(t graph.Type) []string {
	var out []string
	for _, d := range t.Dims {
		if d.Name != "" {
			out = append(out, d.Name)
		}
	}
	return out
}

// The default site has the port names of the first files, and files do not name it.
func TestDefaultSite(t *testing.T) {
	l := &Layout{Heads: 12, DHead: 64, DModel: 768}
	memory := PortAttnOut.Input(PortMemory)
	if got := fmt.Sprintf("%s %v %s", memory.Name(3), memory.InputType(3, l), memory.Shape()); got != "blocks.3.attn.memory float32[memory_3_batch, memory_3_pos, 768] [1 or batch, 1 or pos, d_model]" {
		t.Error(got)
	}
	tau := PortMLPOut.Input(PortTau)
	if got := fmt.Sprintf("%s %v %s", tau.Name(3), tau.InputType(3, l), tau.Shape()); got != "blocks.3.hook_mlp_out.tau float32[mlp_out_tau_3_batch, mlp_out_tau_3_pos, 1] [1 or batch, 1 or pos, 1]" {
		t.Error(got)
	}
	if a, b := memory.Manifest(3, l).Site, tau.Manifest(3, l).Site; a != "" || b != PortMLPOut {
		t.Errorf("recorded as %q and %q", a, b)
	}
	m := NewManifest(l)
	m.Bake(Baked{Site: PortAttnOut, Layer: 1})
	m.Bake(Baked{Site: PortMLPOut, Layer: 2})
	if a, b := m.Baked[0], m.Baked[1]; a.Site != "" || a.At() != (BakedAt{PortAttnOut, 1}) || b.At() != (BakedAt{PortMLPOut, 2}) {
		t.Errorf("%+v, %+v", a, b)
	}
}

func TestParseSite(t *testing.T) {
	if s, err := ParseSite("mlp_out"); s != PortMLPOut || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	for _, s := range []string{"resid_mid", "memory", ""} {
		want := fmt.Sprintf("site %q: want one of resid_pre, z, attn_out, mlp_out, resid_post", s)
		if _, err := ParseSite(s); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A layer without an MLP gives a reason.
func TestMissingSite(t *testing.T) {
	layer := &Layer{Join: graph.Use{Node: &graph.Node{}}, Missing: map[string]string{"mlp_out": "the block has no MLP"}}
	if why := PortMLPOut.Intervention().Missing(layer); why != "the block has no MLP" {
		t.Error(why)
	}
	if why := PortAttnOut.Intervention().Missing(layer); why != "" {
		t.Error(why)
	}
}
