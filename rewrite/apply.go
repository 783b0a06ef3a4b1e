package rewrite

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
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
	models.Baked
	Vector []float32 // [d_model]
}

// Apply changes the model as asked, all or nothing, and records its ports in the manifest. The layout must be the model's
// own; the one in force afterwards is returned, which with Prefill is another.
func Apply(m *graph.Model, l *models.Layout, req Request) (man *models.Manifest, now *models.Layout, err error) {
	err = m.Try(func() error { // prefill commits edits of its own
		man, now, err = req.apply(m, l)
		return err
	})
	return man, now, err
}

func (req Request) apply(m *graph.Model, l *models.Layout) (*models.Manifest, *models.Layout, error) {
	old, err := models.ReadManifest(m)
	if err != nil {
		return nil, nil, err
	}
	if err := req.check(m, l); err != nil {
		return nil, nil, err
	}
	axis := int64(0)
	if req.LastLogits {
		if axis, err = positionAxis(m, l); err != nil {
			return nil, nil, fmt.Errorf("last logits: %w", err)
		}
	}
	man := newManifest(m, l, old) // of the file as it was
	if req.Prefill {
		if l, err = prefill(m, l); err != nil {
			return nil, nil, fmt.Errorf("prefill: %w", err)
		}
	}
	e := m.Edit()
	injected := addInputs(e, l, req.Inject)
	ports := &mainPorts{seen: map[string]bool{}}
	logits := make([]*graph.Value, len(l.Bodies))
	for i, b := range l.Bodies {
		p := newPatch(e, m, l, b)
		for _, x := range req.Expose {
			for _, layer := range x.Layers {
				p.port(x.Kind.Port.Name(layer), x.Kind.value(p, b.Layers[layer]), portType(x.Kind.Port, l), ports)
			}
		}
		p.inject(injected, req.Bake)
		logits[i] = b.Logits
		if req.LastLogits {
			logits[i] = p.lastLogits(axis)
		}
	}
	req.eachPort(func(port models.PortKind, layer int) { man.Ports = append(man.Ports, port.Port(layer, l)) })
	for _, b := range req.Bake {
		man.Baked = append(man.Baked, b.Baked)
	}
	e.SetMeta(models.ManifestKey, man.Encode())
	if err := e.Commit(); err != nil {
		return nil, nil, err
	}
	for i, b := range l.Bodies {
		b.Logits = logits[i]
	}
	return man, l, nil
}

// eachPort calls f for every port of the request: outputs first, then memory and tau of each layer.
func (r Request) eachPort(f func(port models.PortKind, layer int)) {
	for _, x := range r.Expose {
		for _, layer := range x.Layers {
			f(x.Kind.Port, layer)
		}
	}
	for _, layer := range r.Inject {
		f(models.PortMemory, layer)
		f(models.PortTau, layer)
	}
}

// check refuses what the model cannot have.
func (r Request) check(m *graph.Model, l *models.Layout) error {
	taken := map[string]bool{}
	for g := range m.Graphs() {
		for _, v := range slices.Concat(g.Inputs(), g.Outputs()) {
			taken[v.Name()] = true
		}
	}
	var err error
	fail := func(e error) {
		if err == nil {
			err = e
		}
	}
	inRange := func(layer int) bool {
		if layer < 0 || layer >= l.Layers {
			fail(fmt.Errorf("layer %d, the model has 0 to %d", layer, l.Layers-1))
			return false
		}
		return true
	}
	r.eachPort(func(port models.PortKind, layer int) {
		switch name := port.Name(layer); {
		case !inRange(layer):
		case taken[name]:
			fail(hint.With(fmt.Errorf("port %s exists already", name), "onnx-inject inspect lists the ports the file has"))
		default:
			taken[name] = true
		}
	})
	for _, x := range r.Expose {
		for _, layer := range x.Layers {
			if err == nil {
				fail(x.Kind.missing(l, layer))
			}
		}
	}
	for _, b := range r.Bake {
		if !inRange(b.Layer) {
			continue
		}
		if len(b.Vector) != l.DModel {
			fail(fmt.Errorf("bake: a memory of %d numbers, d_model is %d", len(b.Vector), l.DModel))
		}
		if math.IsNaN(b.Tau) || math.IsInf(b.Tau, 0) {
			fail(fmt.Errorf("bake: tau %v, want a finite number", b.Tau))
		}
		for _, body := range l.Bodies {
			if e := b.fits(newPatch(nil, m, l, body).streamType(body.Layers[b.Layer])); e != nil {
				fail(e)
			}
		}
	}
	return err
}
