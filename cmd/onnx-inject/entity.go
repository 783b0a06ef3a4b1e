package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// entities are the memories of --memory and --for: names whose states replace those of descriptions in the prompt.
type entities struct {
	names, phrases []string // in pairs
	tau            float64
	site           models.PortKind
}

// readEntities reads the flags. --for is set.
func readEntities(c *call) (*entities, error) {
	x := &entities{phrases: *c.Generic("for").(*texts), tau: c.Float64("tau"), site: intervention.EntitySite}
	for _, name := range *c.Generic("memory").(*texts) {
		c.noteSource(name)
		x.names = append(x.names, textOf(name))
	}
	if c.IsSet("site") {
		x.site = chosen[models.PortKind](c, "site")
	}
	for _, f := range []struct{ name, why string }{
		{"vector", "the memory is the model's own state of --memory"},
		{"encoding", "the memory is the model's own state of --memory"},
		{"convention", "the memory is the model's own state of --memory"},
		{"positions", "the phrase says where the memory acts"},
		{"when", "the phrase is part of the prompt"},
		{"tau-unit", "the state replaces one of its own kind"},
	} {
		if c.IsSet(f.name) {
			return nil, usagef("--for and --%s cannot be combined: %s", f.name, f.why)
		}
	}
	switch {
	case len(x.names) != len(x.phrases):
		return nil, hintf(usagef("want a --memory for each --for, got %d and %d", len(x.names), len(x.phrases)), "use --interventions FILE to combine them with a memory that is added")
	case math.IsNaN(x.tau) || math.IsInf(float64(float32(x.tau)), 0):
		return nil, usagef("flag --tau: want a number that float32 can hold, got %v", x.tau)
	case c.IsSet("prompt-bos") && !c.Bool("prompt-bos"):
		return nil, usagef("--for cannot be combined with --prompt-bos=false: a state without the beginning-of-text token before it is another one")
	}
	for i, text := range slices.Concat(x.names, x.phrases) {
		flag := "memory"
		if i >= len(x.names) {
			flag = "for"
		}
		switch {
		case text == "":
			return nil, usagef("flag --%s: the text is empty", flag)
		case !utf8.ValidString(text):
			return nil, notUTF8(flag, text)
		}
	}
	for i, phrase := range x.phrases {
		if j := slices.Index(x.phrases, phrase); j < i {
			return nil, usagef("--for %s was given twice, with %s and %s: want one memory for a phrase", quote(phrase), quote(x.names[j]), quote(x.names[i]))
		}
	}
	return x, nil
}

// resolve returns the entries for a model.
func (x *entities) resolve(c *call, l *models.Layout) ([]intervention.Entry, error) {
	layers := intervention.Layers(c.String("layer"))
	if !c.IsSet("layer") {
		layers = intervention.Layers(strconv.Itoa(intervention.EntityLayer(l.Layers)))
	}
	switch list, err := models.ParseLayers(string(layers), l.Layers); {
	case err != nil:
		return nil, badFlag("layer", err)
	case len(list) == 1:
		layers = intervention.Layers(strconv.Itoa(list[0]))
	}
	var out []intervention.Entry
	for i, name := range x.names {
		e := intervention.Entity(name, x.phrases[i], x.site, layers, x.tau)
		if err := e.Check(); err != nil {
			return nil, usagef("%s: %w", c.Command.Name, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// noteBOS warns if the states of names are captured without a beginning-of-text token, because the tokenizer has none.
func (c *call) noteBOS(entries []intervention.Entry, o *opened) error {
	if !slices.ContainsFunc(entries, func(e intervention.Entry) bool { _, _, ok := e.EntityOf(); return ok }) {
		return nil
	}
	t, err := o.Folder.Tokenizer()
	if err != nil {
		return refused(err)
	}
	if _, ok := t.BOS(); !ok {
		c.note("the tokenizer has no beginning-of-text token: memories of --for that were captured without one did not work where this was measured")
	}
	return nil
}

// placed is a token of a prompt.
type placed struct {
	Position int    `json:"position"`
	Token    string `json:"token"`
}

// tokensOf returns the tokens of the prompt that an entry replaces.
func tokensOf(entry int, plan intervention.Plan, prompt []steer.Token) []placed {
	out := []placed{}
	for _, x := range plan {
		from, _, err := x.Positions.Within(len(prompt))
		if err != nil || x.Entry != entry {
			continue
		}
		if p := (placed{from, prompt[from].Token}); !slices.Contains(out, p) { // once for all layers
			out = append(out, p)
		}
	}
	return out
}

// entityWhere describes where a state is put.
func entityWhere(phrase string, e intervention.Entry, at []placed) string {
	var tokens []string
	for _, t := range at {
		tokens = append(tokens, fmt.Sprintf("%s at position %d", quote(t.Token), t.Position))
	}
	s := fmt.Sprintf("for %s: replaces %s in %s of layer %s", quote(phrase), strings.Join(tokens, " and "), e.At(), e.Layers)
	if e.Tau != nil && *e.Tau != 1 {
		s += ", tau " + strconv.FormatFloat(*e.Tau, 'g', -1, 64)
	}
	return s
}

// entityJSON is a memory of --for in the JSON of run.
type entityJSON struct {
	Memory string              `json:"memory"`
	For    string              `json:"for"`
	Site   models.PortKind     `json:"site"`
	Layers intervention.Layers `json:"layers"`
	Tau    *float64            `json:"tau,omitempty"` // 1 unless given
	Tokens []placed            `json:"tokens"`        // of the prompt, whose states are replaced
}

func entitiesJSON(entries []intervention.Entry, r *steer.Result) []entityJSON {
	var out []entityJSON
	for i, e := range entries {
		if name, phrase, ok := e.EntityOf(); ok {
			out = append(out, entityJSON{name, phrase, e.At(), e.Layers, e.Tau, tokensOf(i, r.Plan, r.Prompt)})
		}
	}
	return out
}
