package rewrite

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// Request describes the changes to a model. The zero request changes only the manifest.
type Request struct {
	Expose     []Expose
	Inject     []Inject // inputs for a memory and its tau
	Gate       []Inject // inputs for keep, which multiplies the model's own value
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

// Bake requests a fixed intervention: the model keeps its signature and contains the numbers.
type Bake struct {
	models.Baked
	Vector []float32 // [d_model], or [head, d_head] at a site by head; nil for no memory
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
		values := p.change(req, added)
		for _, x := range req.Expose {
			for _, layer := range x.Layers {
				name := x.Kind.Port.Name(layer)
				p.port(name, values[name], portType(x.Kind.Port.Output(), l), ports)
			}
		}
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

// requests yields the names of the two requests for inputs with their sites.
func (r Request) requests() iter.Seq2[string, []Inject] {
	return func(yield func(string, []Inject) bool) {
		_ = yield("inject", r.Inject) && yield("gate", r.Gate)
	}
}

// inputs yields the input ports of the request.
func (r Request) inputs() iter.Seq2[models.Port, int] {
	return func(yield func(models.Port, int) bool) {
		for what, list := range r.requests() {
			for _, x := range list {
				ports := x.Site.Intervention().Inputs()
				for _, layer := range x.Layers {
					for _, port := range ports {
						if gate := port.Kind == models.PortKeep; gate == (what == "gate") && !yield(port, layer) {
							return
						}
					}
				}
			}
		}
	}
}

// flow lists the values of a block in the order in which it computes them.
var flow = []models.PortKind{models.PortResidPre, models.PortPattern, models.PortZ, models.PortResult, models.PortOut, models.PortAttnOut,
	models.PortResidMid, models.PortMLPOut, models.PortResidPost}

// change goes through the blocks in the order of the data. It returns the exposed values by the names of their ports, each as it
// is before the change at the same site, and makes the changes.
func (p *patch) change(req Request, inputs map[string]*graph.Value) map[string]*graph.Value {
	values := map[string]*graph.Value{}
	exposed := map[string]*Kind{}
	for _, x := range req.Expose {
		for _, layer := range x.Layers {
			exposed[x.Kind.Port.Name(layer)] = x.Kind
		}
	}
	for _, l := range p.body.Layers {
		for _, kind := range flow {
			name := kind.Name(l.Index)
			if k := exposed[name]; k != nil {
				values[name] = k.value(p, l)
			}
			if slices.Contains(models.Sites(), kind) {
				p.inject(kind.Intervention(), l, req, inputs)
			}
		}
	}
	return values
}
