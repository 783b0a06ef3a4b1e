package main

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// exposed is one KIND[@LAYERS] of --expose; the layers are words until the model is known.
type exposed struct {
	kind   *rewrite.Kind
	layers []string
}

// layerish is what a part of LAYERS looks like: it goes on with the kind before it, for a comma separates both.
var layerish = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(all|-?[0-9]+(-(-?[0-9]+))?)$`) })

// parseExpose reads the values of --expose: KIND[@LAYERS], several of them with commas between. "z@0-3,7,result" is z at the
// layers 0-3,7 and result at all. A kind that stands twice gets the layers of both.
func parseExpose(values []string) ([]exposed, error) {
	var out []exposed
	for _, value := range values {
		open := false // the item before is a kind with layers
		for item := range strings.SplitSeq(value, ",") {
			item = strings.TrimSpace(item)
			name, layers, hasLayers := strings.Cut(item, "@")
			switch {
			case item == "":
				return nil, usagef("flag --expose %s: a kind is missing beside a comma", quote(value))
			case layerish().MatchString(item) && open:
				last := &out[len(out)-1]
				last.layers = append(last.layers, item)
				continue
			case layerish().MatchString(item):
				return nil, hintf(usagef("flag --expose %s: %s is no kind", quote(value), quote(item)), "layers go behind an @: z@%s", item)
			case hasLayers && !layerish().MatchString(layers):
				return nil, hintf(usagef("flag --expose %s: %s are no layers", quote(value), quote(layers)), "layers are all, 7, 0-3,7 or -1 (the last)")
			}
			kind, err := rewrite.KindByName(name)
			if err != nil {
				return nil, usagef("flag --expose %s: %w", quote(value), err)
			}
			if !hasLayers {
				layers = "all"
			}
			open = hasLayers
			out = append(out, exposed{kind, []string{layers}})
		}
	}
	return out, nil
}

// exposeRequests counts the layers out for a model, each kind once.
func exposeRequests(list []exposed, l *models.Layout) ([]rewrite.Expose, error) {
	var out []rewrite.Expose
	for _, x := range list {
		layers, err := models.ParseLayers(strings.Join(x.layers, ","), l.Layers)
		if err != nil {
			return nil, usagef("flag --expose: %w", err)
		}
		i := slices.IndexFunc(out, func(o rewrite.Expose) bool { return o.Kind == x.kind })
		if i < 0 {
			out = append(out, rewrite.Expose{Kind: x.kind, Layers: layers})
			continue
		}
		both := append(out[i].Layers, layers...)
		slices.Sort(both)
		out[i].Layers = slices.Compact(both)
	}
	return out, nil
}

// oneLayer reads a flag that names a single layer.
func oneLayer(value string, l *models.Layout) (int, error) {
	layers, err := models.ParseLayers(value, l.Layers)
	if err != nil {
		return 0, usagef("flag --layer: %w", err)
	}
	if len(layers) != 1 {
		return 0, usagef("flag --layer %s: want one layer, got %d", quote(value), len(layers))
	}
	return layers[0], nil
}
