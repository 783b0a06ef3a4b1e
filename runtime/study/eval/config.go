package eval

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/choice"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Config describes an evaluation.
type Config struct {
	Model    *decoder.Model
	Data     string               // file of prompts
	Column   string               // of the prompts; "" is obscure_sentence or prompt
	Dir      string               // folder of the results
	Op       intervention.Op      // what happens in a cell; "" is add
	Sites    []models.PortKind    // that change, one at a time; nil is attn_out
	Layers   []int                // that change, one at a time, ascending; nil for all
	Heads    []int                // that change, one at a time, ascending, at sites by head; nil: all heads of a layer at once
	Taus     []float64            // in the order of the results; of scale, the factors; of ablate, nil
	TauUnit  steer.TauUnit        // of added memories; "" is TauRaw
	Memories []string             // sources; see Sources. Nil for scale and ablate
	Also     []intervention.Entry // changes that act in every cell, too, and not in the clean run

	Encoding   memory.Encoding
	Convention memory.Convention
	Positions  intervention.Positions
	Phrase     bool // cells change the last token of the phrase for the entity, and Positions is not used
	Told       bool // score each prompt with the memory as text in front, too: "X is Y."
	Texts      memory.Texts

	// SideEffects names texts that the changes should not touch: "demo", "english", or a file as for [ReadPrompts]. Each cell of the grid
	// acts on each text; see the package documentation. "" measures nothing.
	SideEffects string

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
	Encoding    Stage = "memories"
	Running     Stage = "prompts"
	SideEffects Stage = "texts" // of side effects
)

// complete gives the settings that were left open their values, and refuses settings that do not fit each other or the model.
func (c *Config) complete(l *models.Layout) error {
	c.Op = cmp.Or(c.Op, intervention.Add)
	if !c.Op.UsesMemory() {
		if len(c.Memories) > 0 {
			return fmt.Errorf("%s uses no memory, got %s", c.Op, strings.Join(c.Memories, ", "))
		}
		c.Memories = []string{"none"}
	}
	if c.Op == intervention.Ablate {
		if c.Taus != nil {
			return fmt.Errorf("%s has no tau, got %v", c.Op, c.Taus)
		}
		c.Taus = []float64{0}
	}
	if c.TauUnit == "" {
		c.TauUnit = steer.TauRaw
	}
	if c.Layers == nil {
		for layer := range l.Layers {
			c.Layers = append(c.Layers, layer)
		}
	}
	if c.Sites == nil {
		c.Sites = []models.PortKind{models.DefaultSite}
	}
	if err := c.check(l.Layers); err != nil {
		return err
	}
	return c.checkPlaces(l)
}

// checkPlaces refuses sites and heads that the layers do not have.
func (c *Config) checkPlaces(l *models.Layout) error {
	for i, site := range c.Sites {
		if _, err := models.ParseSite(string(site)); err != nil {
			return err
		}
		if slices.Index(c.Sites, site) != i {
			return fmt.Errorf("site %s was given twice", site)
		}
		if c.Heads != nil && !site.Intervention().ByHead() {
			return hint.With(fmt.Errorf("heads at %s, which has no heads", site), "heads are those of the site z")
		}
		for _, layer := range c.Layers {
			if why := site.Intervention().Missing(l.Bodies[0].Layers[layer]); why != "" {
				return hint.With(fmt.Errorf("%s of layer %d: %s", site, layer, why), "leave the layer out, or choose another site")
			}
		}
	}
	for i, h := range c.Heads {
		if h < 0 || h >= l.Heads {
			return fmt.Errorf("head %d, the model has 0 to %d", h, l.Heads-1)
		}
		if slices.Index(c.Heads, h) != i {
			return fmt.Errorf("head %d was given twice", h)
		}
	}
	return nil
}

// positions names the positions that cells change.
func (c *Config) positions() string {
	if c.Phrase {
		return Phrase
	}
	return c.Positions.String()
}

// checkSources refuses memories that the sites or the operation cannot take.
func (e *evaluation) checkSources() error {
	from, to, err := e.Positions.Within(1 << 30)
	single := err == nil && to-from == 1 || e.Positions.InText() || e.Phrase
	for _, s := range e.sources {
		if s.pairs && e.data.pairs > 1 && !e.Phrase {
			return hint.With(fmt.Errorf("memory %q: a prompt has %d memories, each for its own phrase, got positions %v", s.Name, e.data.pairs, e.positions()), "give --positions phrase")
		}
		for _, m := range s.at(0, 0, 0) { // the memories of a source are of one kind
			for _, site := range e.Sites {
				byHead := site.Intervention().ByHead()
				switch {
				case m.Text == "" && e.Op == intervention.Replace:
					return hint.With(fmt.Errorf("memory %q: nothing can replace the value at %s", s.Name, site), "--op ablate puts zeros there")
				case byHead && m.encoded():
					return hint.With(fmt.Errorf("memory %q: a text becomes a vector of the residual stream, and %s is no part of it", s.Name, site), "captured memories and vectors of a file work there")
				case byHead && s.from != nil:
					return fmt.Errorf("memory %q: the value of %s has another shape than that of %s", s.Name, s.from.Site, site)
				}
			}
			if s.from != nil && !single {
				return hint.With(fmt.Errorf("memory %q: the state of one token is put into one position, got positions %v", s.Name, e.positions()), "give --positions last, or the number of a position")
			}
			if err := e.encode.look(m); err != nil { // vectors come from files, and every prompt uses the whole file
				return err
			}
		}
	}
	return nil
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
	if _, err := choice.Of("op", string(c.Op), intervention.Ops); err != nil {
		return err
	}
	if _, err := choice.Of("tau unit", string(c.TauUnit), steer.TauUnits); err != nil {
		return err
	}
	if c.TauUnit == steer.TauNorm && c.Op != intervention.Add {
		return fmt.Errorf("tau unit %s is for added memories, the operation is %s", c.TauUnit, c.Op)
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
