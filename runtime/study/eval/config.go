package eval

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Config describes an evaluation.
type Config struct {
	Model    *decoder.Model
	Data     string          // file of prompts
	Dir      string          // folder of the results
	Site     models.PortKind // of the residual stream; "" is attn_out
	Layers   []int           // layers that receive the memory, ascending; nil for all
	Taus     []float64       // in the order of the results
	Memories []string        // sources; see Sources

	Encoding   memory.Encoding
	Convention memory.Convention
	Positions  intervention.Positions
	Texts      memory.Texts

	Plan  string        // see Plans
	Shard results.Shard // the zero value is the whole evaluation
	Limit int           // number of prompts from the start of the data; 0 for all
	Top   int           // number of most likely tokens in each row
	First int           // number of memories used from a file; 0 for all

	Options runtime.Options
	Tool    string       // name and version of the program, for the manifest
	Host    results.Host // for the manifest

	// Progress is called after each step, in the goroutine that did it. It may be nil.
	Progress func(Progress)
}

// Progress is the progress of an evaluation.
type Progress struct {
	Stage Stage
	Done  int // steps of Stage, including those of an earlier run
	All   int
	Best  *stats.Leader // the best cell of the finished prompts; nil before there is one
}

// Stage is a part of an evaluation that takes time.
type Stage string

// The stages, in order.
const (
	Encoding Stage = "memories"
	Running  Stage = "prompts"
)

// checkSite completes the site and refuses one that a layer does not have.
func (c *Config) checkSite(l *models.Layout) error {
	if c.Site == "" {
		c.Site = models.DefaultSite
	}
	if !slices.Contains(Sites(), c.Site) {
		return fmt.Errorf("site %q: want one of %v", c.Site, Sites())
	}
	for _, layer := range c.Layers {
		if why := c.Site.Intervention().Missing(l.Bodies[0].Layers[layer]); why != "" {
			return hint.With(fmt.Errorf("%s of layer %d: %s", c.Site, layer, why), "leave the layer out, or choose another site")
		}
	}
	return nil
}

// Sites lists the sites that can be evaluated, the default first: those of the residual stream.
func Sites() []models.PortKind {
	return slices.DeleteFunc(models.Memorable(), func(k models.PortKind) bool { return k.Intervention().ByHead() })
}

// check refuses settings that are invalid for any model with this number of layers.
func (c *Config) check(layers int) error {
	switch {
	case len(c.Taus) == 0:
		return errors.New("no taus")
	case len(c.Memories) == 0:
		return errors.New("no memories")
	case c.Limit < 0 || c.Top < 0 || c.First < 0:
		return errors.New("the limit is below 0")
	case c.Shard.Of < 1 || c.Shard.Index < 0 || c.Shard.Index >= c.Shard.Of:
		return fmt.Errorf("shard %d of %d", c.Shard.Index, c.Shard.Of)
	}
	if err := errors.Join(checkTaus(c.Taus), CheckSources(c.Memories)); err != nil {
		return err
	}
	for _, l := range c.Layers {
		if l < 0 || l >= layers {
			return fmt.Errorf("layer %d, the model has 0 to %d", l, layers-1)
		}
	}
	if c.Plan != Auto {
		if _, err := planByName(c.Plan); err != nil {
			return err
		}
	}
	return nil
}
