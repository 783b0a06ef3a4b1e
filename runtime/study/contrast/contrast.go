package contrast

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/capture"
)

// Sites lists the places where activations are read: those that have the shape of the residual stream. The first is the default.
var Sites = []models.PortKind{models.PortResidPost, models.PortResidMid, models.PortAttnOut, models.PortMLPOut}

// Config describes how directions are made.
type Config struct {
	Model     *decoder.Model
	Positive  []string // texts
	Negative  []string // as many: those with the same index are a pair
	Method    Method
	Site      models.PortKind
	PromptBOS bool // texts begin with the beginning-of-text token
	Options   runtime.Options
	Progress  func(done, all int) // texts; may be nil
}

// Found is the direction of a layer.
type Found struct {
	Layer  int
	Vector *vector.Vector
	Norm   float64
	Higher float64 // share of pairs whose positive text projects higher
}

// MetaMethod, MetaSite and MetaPairs are facts of a vector: how it was made, where it was read, and from how many pairs.
const (
	MetaMethod = "method"
	MetaSite   = "site"
	MetaPairs  = "pairs"
)

// Run returns the direction of every layer.
func Run(ctx context.Context, host runtime.Host, c Config) ([]Found, error) {
	if len(c.Positive) != len(c.Negative) {
		return nil, hint.With(fmt.Errorf("%d positive texts and %d negative ones, want pairs", len(c.Positive), len(c.Negative)), "line N of both files is a pair")
	}
	model, err := steer.New(ctx, host, c.Model, c.Options)
	if err != nil {
		return nil, err
	}
	if err := model.LoadTokenizer(); err != nil {
		return nil, err
	}
	model.Texts = memory.Texts{PromptBOS: c.PromptBOS}
	var ids [2][][]int64
	for side, texts := range [][]string{c.Positive, c.Negative} {
		for i, text := range texts {
			x, err := model.Prompt(text)
			if err != nil {
				return nil, hint.With(fmt.Errorf("pair %d: %w", i, err), hint.Of(err))
			}
			ids[side] = append(ids[side], x)
		}
	}
	var layers []int
	for l := range model.Layout.Layers {
		layers = append(layers, l)
	}
	hooks, err := capture.HooksOf(c.Site, layers...)
	if err != nil {
		return nil, err
	}
	r, err := capture.OpenRunner(ctx, host, c.Model, c.Options, hooks)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	diffs := make([][][]float32, len(layers)) // [layer][pair][d_model]
	for i := range ids[0] {
		var last [2][][]float32
		for side := range last {
			if last[side], err = r.Last(ctx, ids[side][i]); err != nil {
				return nil, fmt.Errorf("pair %d: %w", i, err)
			}
		}
		for l := range layers {
			d := make([]float32, len(last[0][l]))
			for j := range d {
				d[j] = last[0][l][j] - last[1][l][j]
				if math.IsNaN(float64(d[j])) || math.IsInf(float64(d[j]), 0) {
					return nil, fmt.Errorf("pair %d: %s has a value that is not finite", i, hooks[l].Name())
				}
			}
			diffs[l] = append(diffs[l], d)
		}
		if c.Progress != nil {
			c.Progress(2*(i+1), 2*len(ids[0]))
		}
	}
	return directions(c, hooks, diffs)
}

// directions makes the vector of each hook.
func directions(c Config, hooks []capture.Hook, diffs [][][]float32) ([]Found, error) {
	var out []Found
	for l, h := range hooks {
		v, higher, err := Direction(diffs[l], c.Method)
		if err != nil {
			return nil, hint.With(fmt.Errorf("%s: %w", h.Name(), err), "the texts of a pair must differ before or at their last token")
		}
		out = append(out, Found{h.Layer, &vector.Vector{Name: h.Name(), Data: v, Meta: map[string]string{
			vector.MetaModel: c.Model.Config.ModelType, vector.MetaLayer: strconv.Itoa(h.Layer),
			MetaMethod: string(c.Method), MetaSite: string(c.Site), MetaPairs: strconv.Itoa(len(diffs[l])),
		}}, memory.Length(v), higher})
	}
	return out, nil
}
