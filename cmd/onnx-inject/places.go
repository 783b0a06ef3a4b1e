package main

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// placesFlag is a flag that takes a list of NAME[@LAYERS], separated by commas.
type placesFlag[T comparable] struct {
	name string
	noun string                         // for a name, in errors
	read func(string) (T, error)        // parses a name
	bare func(layers string) (T, error) // returns the default for layers without a name, or an error
}

var exposeFlag = placesFlag[*rewrite.Kind]{"expose", "kind", rewrite.KindByName, func(layers string) (*rewrite.Kind, error) {
	return nil, hintf(usagef("%s is not a kind", quote(layers)), "put layers after a kind and @: z@%s", layers)
}}

var injectFlag = placesFlag[models.PortKind]{"inject", "site", models.ParseSite, func(string) (models.PortKind, error) { return models.DefaultSite, nil }}

var gateFlag = placesFlag[models.PortKind]{"gate", "site", models.ParseSite, injectFlag.bare}

// place is one NAME[@LAYERS]. The layers are text until the model is known.
type place[T comparable] struct {
	what   T
	layers []string
}

// layerish matches a part of LAYERS. Commas separate both names and layers, so such a part belongs to the name before it.
var layerish = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(all|-?[0-9]+(-(-?[0-9]+))?)$`) })

// parse reads the values of the flag. "z@0-3,7,result" is z at layers 0-3 and 7, and result at all layers.
func (f placesFlag[T]) parse(values []string) ([]place[T], error) {
	var out []place[T]
	for _, value := range values {
		open := false // the previous item has layers
		for item := range strings.SplitSeq(value, ",") {
			item = strings.TrimSpace(item)
			if open && layerish().MatchString(item) {
				last := &out[len(out)-1]
				last.layers = append(last.layers, item)
				continue
			}
			p, named, err := f.item(item)
			if err != nil {
				return nil, usagef("flag --%s %s: %w", f.name, quote(value), err)
			}
			open = named
			out = append(out, p)
		}
	}
	return out, nil
}

// item reads one part between commas. open reports that layers may follow.
func (f placesFlag[T]) item(item string) (p place[T], open bool, err error) {
	name, layers, open := strings.Cut(item, "@")
	switch {
	case item == "":
		return p, false, usagef("a %s is missing before or after a comma", f.noun)
	case layerish().MatchString(item):
		p.layers = []string{item}
		p.what, err = f.bare(item)
		return p, true, err
	case !open:
		layers = "all"
	case !layerish().MatchString(layers):
		return p, false, hintf(usagef("%s is not a list of layers", quote(layers)), "layers are all, 7, 0-3,7 or -1 (the last)")
	}
	p.layers = []string{layers}
	p.what, err = f.read(name)
	return p, open, err
}

// counted is a name with its layers in a model.
type counted[T comparable] struct {
	what   T
	layers []int
}

// count resolves the layers for a model. A name that was given twice gets both lists of layers.
func (f placesFlag[T]) count(list []place[T], l *models.Layout) ([]counted[T], error) {
	var out []counted[T]
	for _, x := range list {
		layers, err := models.ParseLayers(strings.Join(x.layers, ","), l.Layers)
		if err != nil {
			return nil, badFlag(f.name, err)
		}
		i := slices.IndexFunc(out, func(o counted[T]) bool { return o.what == x.what })
		if i < 0 {
			out = append(out, counted[T]{x.what, layers})
			continue
		}
		both := append(out[i].layers, layers...)
		slices.Sort(both)
		out[i].layers = slices.Compact(both)
	}
	return out, nil
}

// oneLayer reads a flag that names a single layer.
func oneLayer(value string, l *models.Layout) (int, error) {
	layers, err := models.ParseLayers(value, l.Layers)
	if err != nil {
		return 0, badFlag("layer", err)
	}
	if len(layers) != 1 {
		return 0, usagef("flag --layer %s: want one layer, got %d", quote(value), len(layers))
	}
	return layers[0], nil
}
