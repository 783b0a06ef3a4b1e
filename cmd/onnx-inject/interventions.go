package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// changes are the interventions that the flags of run, generate and rewrite --bake describe.
type changes struct {
	memory   *injection // of --memory or --vector; nil for none
	entities *entities  // of --memory with --for; nil for none
	entries  []intervention.Entry
	unit     steer.TauUnit
}

// empty reports whether the flags change nothing.
func (x *changes) empty() bool { return x.memory == nil && x.entities == nil && len(x.entries) == 0 }

// changeFlags are the flags for interventions, besides those of one memory.
func changeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "ablate", Usage: "set to zero: `SITE@LAYERS[.HEAD],…`, such as z@9.6,mlp_out@3", Value: &texts{}},
		&cli.GenericFlag{Name: "scale", Usage: "multiply by a factor: `SITE@LAYERS[.HEAD]=K,…`, such as attn_out@3=0.5", Value: &texts{}},
		&cli.StringFlag{Name: "interventions", Usage: "make the changes that `FILE` lists as JSON", TakesFile: true},
		oneOf("tau-unit", "`UNIT` of tau: raw multiplies the memory as it is; norm makes tau 1 as long as the site's own value", steer.TauUnits),
	}
}

// maxInterventions is the largest interventions file in bytes.
const maxInterventions = 1 << 20

// readChanges reads the flags. more names the flags of the command that need a memory.
func readChanges(c *call, more ...string) (*changes, error) {
	out := &changes{unit: chosen[steer.TauUnit](c, "tau-unit")}
	var err error
	if c.IsSet("for") {
		out.entities, err = readEntities(c)
	} else {
		out.memory, err = readMemory(c)
	}
	if err != nil {
		return nil, err
	}
	if out.entries, err = readEntries(c); err != nil {
		return nil, err
	}
	if out.memory != nil || out.entities != nil {
		return out, nil
	}
	for _, name := range append([]string{"site", "layer", "tau", "encoding", "convention"}, more...) {
		if c.IsSet(name) {
			return nil, usagef("%s: --%s needs --memory TEXT or --vector FILE", c.Command.Name, name)
		}
	}
	if c.IsSet("tau-unit") && !slices.ContainsFunc(out.entries, func(e intervention.Entry) bool { return e.Op == intervention.Add }) {
		return nil, usagef("%s: --tau-unit needs a memory that is added", c.Command.Name)
	}
	return out, nil
}

// readEntries reads the interventions of --interventions, --ablate and --scale, in this order.
func readEntries(c *call) ([]intervention.Entry, error) {
	var out []intervention.Entry
	if path := c.String("interventions"); path != "" {
		data, err := sidefile.ReadFile(path, maxInterventions)
		if err != nil {
			return nil, refused(err)
		}
		if out, err = intervention.Parse(data); err != nil {
			return nil, usagef("flag --interventions %s: %w", quote(path), err)
		}
	}
	for _, f := range []struct {
		name string
		op   intervention.Op
	}{{"ablate", intervention.Ablate}, {"scale", intervention.Scale}} {
		for _, value := range *c.Generic(f.name).(*texts) {
			entries, err := readTargets(f.op, value)
			if err != nil {
				return nil, usagef("flag --%s %s: %w", f.name, quote(value), err)
			}
			out = append(out, entries...)
		}
	}
	return out, nil
}

// target matches one part of --ablate and --scale.
var target = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:([a-z_]+)@)?(all|-?[0-9]+(?:-(?:-?[0-9]+))?)(?:\.([0-9]+))?(?:=(.*))?$`)
})

// readTargets reads "z@9.6,mlp_out@3". A part without a site has the site before it.
func readTargets(op intervention.Op, value string) ([]intervention.Entry, error) {
	var out []intervention.Entry
	site := models.DefaultSite
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		m := target().FindStringSubmatch(part)
		want := "SITE@LAYERS or SITE@LAYER.HEAD, such as mlp_out@3 or z@9.6"
		if op == intervention.Scale {
			want = "SITE@LAYERS=FACTOR, such as attn_out@3=0.5 or z@9.6=0.5"
		}
		if m == nil || (op == intervention.Scale) != strings.Contains(part, "=") {
			return nil, usagef("got %s, want %s", quote(part), want)
		}
		if m[1] != "" {
			var err error
			if site, err = models.ParseSite(m[1]); err != nil {
				return nil, err
			}
		}
		e := intervention.Entry{Site: site, Layers: intervention.Layers(m[2]), Op: op}
		if m[3] != "" {
			head, err := strconv.Atoi(m[3])
			if err != nil {
				return nil, usagef("got %s, want %s", quote(part), want)
			}
			e.Heads = []int{head}
		}
		if op == intervention.Scale {
			k, err := strconv.ParseFloat(m[4], 64)
			if err != nil {
				return nil, usagef("factor %s: want a number", quote(m[4]))
			}
			e.Keep = &k
		}
		if err := e.Check(); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// resolve completes the memory of the flags for a model, and returns all entries: the memory first.
func (x *changes) resolve(c *call, l *models.Layout) ([]intervention.Entry, error) {
	switch {
	case x.entities != nil:
		entries, err := x.entities.resolve(c, l)
		return append(entries, x.entries...), err
	case x.memory == nil:
		return x.entries, nil
	}
	m := x.memory
	e := intervention.Entry{Site: m.site, Op: intervention.Add, Tau: &m.tau, Layers: intervention.Layers(c.String("layer")), Positions: m.positions, When: m.when}
	if !c.IsSet("layer") {
		e.Layers = intervention.Layers(strconv.Itoa(l.Layers / 2))
	}
	switch layers, err := models.ParseLayers(string(e.Layers), l.Layers); {
	case err != nil:
		return nil, badFlag("layer", err)
	case len(layers) == 1:
		e.Layers = intervention.Layers(strconv.Itoa(layers[0]))
	}
	if m.vector != nil {
		e.Memory = &intervention.Memory{Vector: c.String("vector")}
	} else {
		e.Memory = &intervention.Memory{Text: m.text, Encoding: m.encoding, Convention: m.convention}
	}
	if err := m.fits(l); err != nil {
		return nil, err
	}
	if err := e.Check(); err != nil {
		return nil, usagef("%s: %w", c.Command.Name, err)
	}
	m.entry = e
	return append([]intervention.Entry{e}, x.entries...), nil
}
