package rewrite

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// Request says what a patched model shall have. The zero request changes nothing but the manifest.
type Request struct {
	Expose     []Expose
	Inject     []int // layers that get memory and tau ports
	Bake       []Bake
	Prefill    bool // drop the cache: whole prompts in, logits out
	LastLogits bool // unembed the last position only
}

// Expose asks for a kind of output at some layers.
type Expose struct {
	Kind   *Kind
	Layers []int
}

// Bake asks for a fixed memory: the model keeps its signature and carries the vector.
type Bake struct {
	Layer  int
	Tau    float64
	Vector []float32 // [d_model]
	models.Baked
}

// Apply changes the model as asked, all or nothing, and records its ports in the manifest. The layout must be the model's
// own; with Prefill it is made anew, so the one in force afterwards is returned.
func Apply(m *graph.Model, l *models.Layout, req Request) (*models.Manifest, *models.Layout, error) {
	old, err := models.ReadManifest(m)
	if err != nil {
		return nil, nil, err
	}
	if req.Prefill {
		if l, err = prefill(m, l); err != nil {
			return nil, nil, fmt.Errorf("prefill: %w", err)
		}
	}
	man := newManifest(m, l, old)
	e := m.Edit()
	ports := &mainPorts{seen: map[string]bool{}}
	add := func(port models.PortKind, layer int) error {
		if e.Taken(port.Name(layer)) {
			return graph.Hint(fmt.Errorf("port %s exists already", port.Name(layer)), "onnx-inject inspect lists the ports the file has")
		}
		man.Ports = append(man.Ports, port.Port(layer, l))
		return nil
	}
	for _, x := range req.Expose {
		for _, layer := range x.Layers {
			if err := add(x.Kind.Port, layer); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, layer := range req.Inject {
		for _, port := range []models.PortKind{models.PortMemory, models.PortTau} {
			if err := add(port, layer); err != nil {
				return nil, nil, err
			}
		}
	}
	injected := inputs(e, l, req.Inject)
	for _, b := range l.Bodies {
		p := newPatch(e, m, l, b)
		for _, x := range req.Expose {
			for _, layer := range x.Layers {
				at := b.Layers[layer]
				v := x.Kind.value(p, at)
				if v == nil {
					return nil, nil, missing(x.Kind, at)
				}
				p.port(x.Kind.Port.Name(layer), v, portType(x.Kind.Port, l), ports)
			}
		}
		p.inject(injected, req.Bake)
		if req.LastLogits {
			if err := p.lastLogits(); err != nil {
				return nil, nil, fmt.Errorf("last logits: %w", err)
			}
		}
	}
	for _, b := range req.Bake {
		man.Baked = append(man.Baked, b.Baked)
	}
	e.SetMeta(models.ManifestKey, man.Encode())
	if err := e.Commit(); err != nil {
		return nil, nil, err
	}
	return man, l, nil
}
