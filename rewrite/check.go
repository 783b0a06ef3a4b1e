package rewrite

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// check refuses requests that the model cannot satisfy. Each check relies on earlier ones: that sites exist, that layers
// are in range.
func (r Request) check(m *graph.Model, l *models.Layout) error {
	for _, check := range []func(*graph.Model, *models.Layout) error{r.checkSites, r.checkPorts, r.checkExpose, r.checkInject, r.checkBake} {
		if err := check(m, l); err != nil {
			return err
		}
	}
	return nil
}

func (r Request) checkSites(*graph.Model, *models.Layout) error {
	for _, x := range r.Inject {
		if _, err := models.ParseSite(string(x.Site)); err != nil {
			return fmt.Errorf("inject: %w", err)
		}
	}
	for _, b := range r.Bake {
		site, err := models.ParseSite(string(b.At().Site))
		switch {
		case err != nil:
			return fmt.Errorf("bake: %w", err)
		case !site.Intervention().Bake:
			return hint.With(fmt.Errorf("bake: a memory at %s cannot be stored in the file", site), "--inject adds inputs for it")
		}
	}
	return nil
}

// checkPorts refuses layers that do not exist and names that are already used.
func (r Request) checkPorts(m *graph.Model, l *models.Layout) error {
	taken := map[string]bool{}
	for g := range m.Graphs() {
		for _, v := range slices.Concat(g.Inputs(), g.Outputs()) {
			taken[v.Name()] = true
		}
	}
	for port, layer := range r.ports() {
		if err := inRange(layer, l); err != nil {
			return err
		}
		name := port.Name(layer)
		if taken[name] {
			return hint.With(fmt.Errorf("port %s already exists", name), "onnx-inject inspect lists the ports the file has")
		}
		taken[name] = true
	}
	return nil
}

func inRange(layer int, l *models.Layout) error {
	if layer < 0 || layer >= l.Layers {
		return fmt.Errorf("layer %d, the model has 0 to %d", layer, l.Layers-1)
	}
	return nil
}

func (r Request) checkExpose(_ *graph.Model, l *models.Layout) error {
	for _, x := range r.Expose {
		for _, layer := range x.Layers {
			if err := x.Kind.missing(l, layer); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r Request) checkInject(_ *graph.Model, l *models.Layout) error {
	for _, x := range r.Inject {
		for _, layer := range x.Layers {
			if err := missingSite("inject", x.Site, l, layer); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r Request) checkBake(m *graph.Model, l *models.Layout) error {
	for _, b := range r.Bake {
		if err := inRange(b.Layer, l); err != nil {
			return err
		}
		if err := missingSite("bake", b.At().Site, l, b.Layer); err != nil {
			return err
		}
		if len(b.Vector) != l.DModel {
			return fmt.Errorf("bake: a memory of %d numbers, d_model is %d", len(b.Vector), l.DModel)
		}
		if math.IsNaN(b.Tau) || math.IsInf(b.Tau, 0) {
			return fmt.Errorf("bake: tau %v, want a finite number", b.Tau)
		}
		for _, body := range l.Bodies {
			layer := body.Layers[b.Layer]
			if err := b.fits(newPatch(nil, m, l, body).streamType(layer, b.At().Site.Intervention().At(layer))); err != nil {
				return err
			}
		}
	}
	return nil
}

// missingSite returns an error with the reason why a layer does not have a site, or nil if it does.
func missingSite(what string, site models.PortKind, l *models.Layout, layer int) error {
	why := func(x *models.Layer, site models.PortKind) string { return site.Intervention().Missing(x) }
	return lacking(what, site, layer, l, why, "a memory can be added at", models.Sites())
}

// missing returns an error with the reason why a layer does not have the value of the kind, or nil if it does.
func (k *Kind) missing(l *models.Layout, layer int) error {
	why := func(x *models.Layer, kind models.PortKind) string { return x.Missing[string(kind)] }
	return lacking("expose", k.Port, layer, l, why, "these kinds can be exposed", models.Outputs())
}

// lacking returns an error with the reason why a layer lacks a kind and a list of the kinds that it has, or nil if the
// layer has the kind. A merged file must have it in both branches.
func lacking(what string, kind models.PortKind, layer int, l *models.Layout, why func(*models.Layer, models.PortKind) string, offer string, all []models.PortKind) error {
	lack := func(kind models.PortKind) *models.Body {
		i := slices.IndexFunc(l.Bodies, func(b *models.Body) bool { return why(b.Layers[layer], kind) != "" })
		if i < 0 {
			return nil
		}
		return l.Bodies[i]
	}
	b := lack(kind)
	if b == nil {
		return nil
	}
	var others []string
	for _, k := range all {
		if lack(k) == nil {
			others = append(others, string(k))
		}
	}
	where := ""
	if a := b.Graph.Attr(); a != "" {
		where = a + ": "
	}
	return hint.With(fmt.Errorf("%s %s: %slayer %d: %s", what, kind, where, layer, why(b.Layers[layer], kind)), offer+": "+strings.Join(others, ", "))
}
