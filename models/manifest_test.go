package models

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// This is the contract on ports in full. A change here requires a new manifest version.
func TestPortContract(t *testing.T) {
	l := &Layout{Heads: 12, DHead: 64, DModel: 768}
	want := []string{
		"z out blocks.7.attn.hook_z float32[batch, pos, 12, 64]",
		"result out blocks.7.attn.hook_result float32[batch, pos, 12, 768]",
		"pattern out blocks.7.attn.hook_pattern float32[batch, 12, query, key]",
		"out out blocks.7.attn.hook_out float32[batch, pos, 768]",
		"attn_out out blocks.7.hook_attn_out float32[batch, pos, 768]",
		"resid_pre out blocks.7.hook_resid_pre float32[batch, pos, 768]",
		"resid_mid out blocks.7.hook_resid_mid float32[batch, pos, 768]",
		"resid_post out blocks.7.hook_resid_post float32[batch, pos, 768]",
		"mlp_out out blocks.7.hook_mlp_out float32[batch, pos, 768]",
		"memory in blocks.7.hook_resid_pre.memory float32[?, ?, 768]",
		"tau in blocks.7.hook_resid_pre.tau float32[?, ?, 1]",
		"keep in blocks.7.hook_resid_pre.keep float32[?, ?, 1]",
		"memory in blocks.7.attn.hook_z.memory float32[?, ?, 12, 64]",
		"tau in blocks.7.attn.hook_z.tau float32[?, ?, 12, 1]",
		"keep in blocks.7.attn.hook_z.keep float32[?, ?, 12, 1]",
		"memory in blocks.7.attn.memory float32[?, ?, 768]",
		"tau in blocks.7.attn.tau float32[?, ?, 1]",
		"keep in blocks.7.attn.keep float32[?, ?, 1]",
		"memory in blocks.7.hook_mlp_out.memory float32[?, ?, 768]",
		"tau in blocks.7.hook_mlp_out.tau float32[?, ?, 1]",
		"keep in blocks.7.hook_mlp_out.keep float32[?, ?, 1]",
		"memory in blocks.7.hook_resid_post.memory float32[?, ?, 768]",
		"tau in blocks.7.hook_resid_post.tau float32[?, ?, 1]",
		"keep in blocks.7.hook_resid_post.keep float32[?, ?, 1]",
	}
	var ports []Port
	for _, k := range Outputs() {
		ports = append(ports, k.Output())
	}
	for _, s := range Sites() {
		ports = append(ports, s.Intervention().Inputs()...)
	}
	var got []string
	for _, p := range ports {
		got = append(got, fmt.Sprintf("%s %s %s %v", p.Kind, p.IO, p.Name(7), p.Type(l)))
		if p.Doc == "" {
			t.Errorf("%s: no documentation", p.Name(7))
		}
		if back, ok := p.Manifest(7, l).Port(); !ok || back.Name(7) != p.Name(7) || back.Site != p.Site {
			t.Errorf("%s: the manifest's port is %+v, %v", p.Name(7), back, ok)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]any{"1|batch", "1|pos", int64(768)}, PortAttnOut.Input(PortMemory).Manifest(0, l).Shape); d != "" {
		t.Error(d)
	}
	for _, p := range []ManifestPort{{Kind: "logits"}, {Kind: PortMemory, Site: PortResidMid}, {Kind: "gate"}} {
		if port, ok := p.Port(); ok {
			t.Errorf("%+v is confused with %+v", p, port)
		}
	}
}

func TestParseOutput(t *testing.T) {
	if k, err := ParseOutput("resid_mid"); k != PortResidMid || err != nil {
		t.Errorf("%q, %v", k, err)
	}
	for _, s := range []string{"memory", "hook_z", ""} {
		_, err := ParseOutput(s)
		want := fmt.Sprintf("port %q: want one of z, result, pattern, out, attn_out, resid_pre, resid_mid, resid_post, mlp_out", s)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// withMeta returns a model with two inputs and one output named like ports, and the given manifest.
func withMeta(t *testing.T, text string) *graph.Model {
	t.Helper()
	m, err := graph.Load("testdata/nanogpt-torchscript.onnx")
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	memory := e.Input("blocks.1.attn.memory", graph.TensorType(graph.Float32, nil, nil, 32))
	tau := e.Input("blocks.1.attn.tau", graph.TensorType(graph.Float32, nil, nil, 1))
	e.Output(m.Graph, e.Node(m.Graph, graph.Spec{Op: "Mul", Inputs: []*graph.Value{memory, tau}, As: "blocks.1.hook_attn_out", Type: graph.TensorType(graph.Float32, nil, nil, 32)}))
	e.SetMeta(ManifestKey, text)
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	return m
}

func sampleManifest() *Manifest {
	l := &Layout{Family: "gpt2", Exporter: "torch dynamo", Layers: 3, Heads: 4, DHead: 8, DModel: 32, Vocab: 131}
	m := NewManifest(l)
	m.Source = ManifestSource{File: "model.onnx", Bytes: 526636}
	m.Weights = "ref"
	m.Ports = []ManifestPort{PortAttnOut.Input(PortMemory).Manifest(1, l), PortAttnOut.Input(PortTau).Manifest(1, l), PortAttnOut.Output().Manifest(1, l)}
	return m
}

// This is the contract on the manifest in full.
func TestManifestEncode(t *testing.T) {
	m := sampleManifest()
	m.Baked = []Baked{{Layer: 2, Tau: 3.5, Text: "The <Great> Barrier & Reef", Encoding: "unembed", Convention: "tl-folded"}}
	want := `{"version":1,"source":{"file":"model.onnx","bytes":526636},"weights":"ref","family":"gpt2","variant":"torch dynamo",` +
		`"layers":3,"heads":4,"d_head":8,"d_model":32,"vocab":131,"ports":[` +
		`{"name":"blocks.1.attn.memory","kind":"memory","layer":1,"io":"in","dtype":"float32","shape":["1|batch","1|pos",32]},` +
		`{"name":"blocks.1.attn.tau","kind":"tau","layer":1,"io":"in","dtype":"float32","shape":["1|batch","1|pos",1]},` +
		`{"name":"blocks.1.hook_attn_out","kind":"attn_out","layer":1,"io":"out","dtype":"float32","shape":["batch","pos",32]}],` +
		`"baked":[{"layer":2,"tau":3.5,"text":"The <Great> Barrier & Reef","encoding":"unembed","convention":"tl-folded"}]}`
	if d := cmp.Diff(want, m.Encode()); d != "" {
		t.Error(d)
	}
	if got := NewManifest(&Layout{}).Encode(); !strings.Contains(got, `"ports":[]}`) {
		t.Errorf("a manifest without ports and memories: %s", got)
	}
}

func TestReadManifest(t *testing.T) {
	m := sampleManifest()
	got, err := ReadManifest(withMeta(t, m.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if got.Encode() != m.Encode() {
		t.Errorf("read back: %s", got.Encode())
	}
	if p := got.Port("blocks.1.attn.tau"); p == nil || p.Kind != PortTau || p.Layer != 1 {
		t.Errorf("tau of layer 1: %v", p)
	}
	if p := got.Port("blocks.0.attn.tau"); p != nil {
		t.Errorf("tau of layer 0: %v", p)
	}
	if p := (*Manifest)(nil).Port("blocks.1.attn.tau"); p != nil {
		t.Errorf("a port of no manifest: %v", p)
	}
	// Fields that a later program adds within the version are ignored.
	var doc map[string]any
	if err := json.Unmarshal([]byte(m.Encode()), &doc); err != nil {
		t.Fatal(err)
	}
	doc["comment"] = "new"
	text, _ := json.Marshal(doc)
	if _, err := ReadManifest(withMeta(t, string(text))); err != nil {
		t.Error(err)
	}
	plain, err := graph.Load("testdata/fp16.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadManifest(plain); got != nil || err != nil {
		t.Errorf("a plain file: %v, %v", got, err)
	}
}

func TestReadManifestRefusals(t *testing.T) {
	change := func(f func(*Manifest)) string {
		m := sampleManifest()
		f(m)
		return m.Encode()
	}
	for _, test := range []struct{ name, text, want string }{
		{"not JSON", "{", "unexpected end"},
		{"empty", "", "unexpected end"},
		{"a list", "[]", "cannot unmarshal array"},
		{"no version", "{}", "no version"},
		{"newer", `{"version":2,"ports":"elsewhere"}`, "version 2, this program reads version 1"},
		{"wrong type", `{"version":1,"layers":"three"}`, "cannot unmarshal string"},
		{"io", change(func(m *Manifest) { m.Ports[0].IO = "input" }), `io "input", want in or out`},
		{"layer", change(func(m *Manifest) { m.Layers = 1 }), "layer 1 of 1"},
		{"name", change(func(m *Manifest) { m.Ports[0].Name = "memory" }), `port "memory" (in): want "blocks.1.attn.memory"`},
		{"twice", change(func(m *Manifest) { m.Ports[1] = m.Ports[0] }), "appears twice"},
		{"not in the graph", change(func(m *Manifest) { m.Ports[0] = PortAttnOut.Input(PortMemory).Manifest(2, &Layout{DModel: 32}) }), `"blocks.2.attn.memory" (in) is not in the graph`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ReadManifest(withMeta(t, test.text))
			if err == nil || got != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want %q", got, err, test.want)
			}
		})
	}
	if _, err := ReadManifest(withMeta(t, `{"version":9}`)); !strings.Contains(hint.Of(err), "a later one") {
		t.Errorf("hint %q", hint.Of(err))
	}
}
