package rewrite

import (
	"errors"
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
	for what, list := range r.requests() {
		for _, x := range list {
			if _, err := models.ParseSite(string(x.Site)); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	for _, b := range r.Bake {
		if _, err := models.ParseSite(string(b.At().Site)); err != nil {
			return fmt.Errorf("bake: %w", err)
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
	for what, list := range r.requests() {
		for _, x := range list {
			for _, layer := range x.Layers {
				if err := missingSite(what, x.Site, l, layer); err != nil {
					return err
				}
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
		if err := errors.Join(b.check(l), b.checkTokens(m, l)); err != nil {
			return fmt.Errorf("bake: %w", err)
		}
		for _, body := range l.Bodies {
			layer := body.Layers[b.Layer]
			if err := b.fits(newPatch(nil, m, l, body).streamType(layer, b.At().Site.Intervention().At(layer))); err != nil {
				return err
			}
		}
	}
	if err := r.checkPhrases(); err != nil {
		return fmt.Errorf("bake: %w", err)
	}
	return nil
}

// check refuses a stored intervention whose numbers do not fit the model.
func (b Bake) check(l *models.Layout) error {
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	want := b.At().Site.Intervention().MemoryLen(l)
	switch {
	case b.Vector == nil && b.Keep == nil:
		return errors.New("neither a memory nor a factor")
	case b.Vector == nil && b.Tau != 0:
		return fmt.Errorf("tau %g without a memory", b.Tau)
	case b.Vector != nil && len(b.Vector) != want && want == l.DModel:
		return fmt.Errorf("a memory of %d numbers, d_model is %d", len(b.Vector), want)
	case b.Vector != nil && len(b.Vector) != want:
		return fmt.Errorf("a memory of %d numbers, want %d heads of %d", len(b.Vector), l.Heads, l.DHead)
	case !finite(b.Tau):
		return fmt.Errorf("tau %v, want a finite number", b.Tau)
	case b.Keep != nil && !finite(*b.Keep):
		return fmt.Errorf("keep %v, want a finite number", *b.Keep)
	case b.Heads != nil && !b.At().Site.Intervention().ByHead():
		return fmt.Errorf("heads of %s, which has no heads", b.At().Site)
	}
	for _, h := range b.Heads {
		if h < 0 || h >= l.Heads {
			return fmt.Errorf("head %d, the model has 0 to %d", h, l.Heads-1)
		}
	}
	return nil
}

// missingSite returns an error with the reason why a layer does not have a site, or nil if it does.
func missingSite(what string, site models.PortKind, l *models.Layout, layer int) error {
	why := func(x *models.Layer, site models.PortKind) string { return site.Intervention().Missing(x) }
	return lacking(what, site, layer, l, why, "these sites can be changed", models.Sites())
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
