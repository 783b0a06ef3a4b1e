package eval

import (
	"errors"
	"fmt"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Config is an evaluation.
type Config struct {
	Model    *decoder.Model
	Data     string    // file of prompts
	Dir      string    // folder of the results
	Layers   []int     // that get the memory, ascending; nil for all
	Taus     []float64 // in the order of the results
	Memories []string  // sources; see Sources

	Encoding   memory.Encoding
	Convention memory.Convention
	Positions  steer.Positions
	Texts      memory.Texts

	Plan  string        // see Plans
	Shard results.Shard // the zero value is all of it
	Limit int           // the first prompts of the data; 0 for all
	Top   int           // how many of the likeliest tokens a row lists
	First int           // how many memories of a file are taken; 0 for all

	Options runtime.Options
	Tool    string       // name and version of the program, for the manifest
	Host    results.Host // for the manifest

	// Progress is told what was done, from the goroutine that does it. It may be nil.
	Progress func(Progress)
}

// Progress is how far an evaluation is.
type Progress struct {
	Stage Stage
	Done  int // of Stage, those of an earlier run included
	All   int
	Best  *stats.Leader // of the prompts that are done; nil before there is one
}

// Stage is a part of an evaluation that takes time.
type Stage string

// The stages, in their order.
const (
	Encoding Stage = "memories"
	Running  Stage = "prompts"
)

// check refuses what no model could do.
func (c *Config) check(layers int) error {
	switch {
	case len(c.Taus) == 0:
		return errors.New("no taus")
	case len(c.Memories) == 0:
		return errors.New("no memories")
	case c.Limit < 0 || c.Top < 0 || c.First < 0:
		return errors.New("a limit below 0")
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
