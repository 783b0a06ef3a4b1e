package rewrite

import (
	"context"
	"fmt"
	"iter"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// Request describes the changes to a model. The zero request changes only the manifest.
type Request struct {
	Expose     []Expose
	Inject     []Inject
	Bake       []Bake
	Prefill    bool // drop the cache, so that the model takes whole prompts
	LastLogits bool // unembed the last position only
	Signal     bool // add the output Signal if the model can have it; no port, for a model in memory
}

// Expose requests a kind of output at some layers.
type Expose struct {
	Kind   *Kind
	Layers []int
}

// Inject requests the inputs of a site at some layers.
type Inject struct {
	Site   models.PortKind
	Layers []int
}

// Bake requests a fixed memory: the model keeps its signature and contains the vector.
type Bake struct {
	models.Baked
	Vector []float32 // [d_model]
}

// Apply makes all requested changes to the model or none, and records the ports in the manifest. The layout must be that of
// the model. Apply returns the layout of the changed model, which differs with Prefill.
func Apply(ctx context.Context, m *graph.Model, l *models.Layout, req Request) (man *models.Manifest, now *models.Layout, err error) {
	err = m.Try(func() error { // prefill commits separate edits
		man, now, err = req.apply(ctx, m, l)
		return err
	})
	return man, now, err
}

func (req Request) apply(ctx context.Context, m *graph.Model, l *models.Layout) (*models.Manifest, *models.Layout, error) {
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
	man := newManifest(m, l, old) // describes the file before the changes
	if req.Prefill {
		if l, err = prefill(ctx, m, l); err != nil {
			return nil, nil, fmt.Errorf("prefill: %w", err)
		}
	}
	e := m.Edit()
	added := req.addInputs(e, l)
	ports := &mainPorts{seen: map[string]bool{}}
	signal := req.Signal && hasSignal(m, l)
	logits := make([]*graph.Value, len(l.Bodies))
	for i, b := range l.Bodies {
		p := newPatch(e, m, l, b)
		for _, x := range req.Expose {
			for _, layer := range x.Layers {
				p.port(x.Kind.Port.Name(layer), x.Kind.value(p, b.Layers[layer]), portType(x.Kind.Port.Output(), l), ports)
			}
		}
		p.inject(req, added)
		if signal {
			p.port(Signal, p.signal(), graph.TensorType(graph.Float32, "signal_rows"), ports)
		}
		logits[i] = b.Logits
		if req.LastLogits {
			logits[i] = p.lastLogits(axis)
		}
	}
	for port, layer := range req.ports() {
		man.Ports = append(man.Ports, port.Manifest(layer, l))
	}
	for _, b := range req.Bake {
		man.Bake(b.Baked)
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

// ports yields the ports of the request: outputs first, followed by the inputs of each layer.
func (r Request) ports() iter.Seq2[models.Port, int] {
	return func(yield func(models.Port, int) bool) {
		for _, x := range r.Expose {
			for _, layer := range x.Layers {
				if !yield(x.Kind.Port.Output(), layer) {
					return
				}
			}
		}
		r.inputs()(yield)
	}
}

// inputs yields the input ports of the request.
func (r Request) inputs() iter.Seq2[models.Port, int] {
	return func(yield func(models.Port, int) bool) {
		for _, x := range r.Inject {
			ports := x.Site.Intervention().Inputs()
			for _, layer := range x.Layers {
				for _, port := range ports {
					if !yield(port, layer) {
						return
					}
				}
			}
		}
	}
}
