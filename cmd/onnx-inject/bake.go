package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// bakes turns interventions into numbers that are stored in a file. Only a captured value and the encoding layer run the model.
func bakes(c *call, o *opened, l *models.Layout, entries []intervention.Entry) ([]rewrite.Bake, error) {
	var out []rewrite.Bake
	for i, e := range entries {
		if err := storable(e); err != nil {
			return nil, refused(fmt.Errorf("bake: intervention %d (%s): %w", i, e, err))
		}
		layers, err := models.ParseLayers(string(e.Layers), l.Layers)
		if err != nil {
			return nil, refused(fmt.Errorf("bake: %w", err))
		}
		for _, layer := range layers {
			b, err := bakeOf(c, o, l, e, layer)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	return out, nil
}

// storable refuses what depends on a prompt.
func storable(e intervention.Entry) error {
	p := intervention.AllPositions
	if e.Positions != "" {
		var err error
		if p, err = intervention.ParsePositions(e.Positions); err != nil {
			return err
		}
	}
	_, phrase := p.EndOf()
	switch m := e.Memory; {
	case p.InText() && !phrase:
		return hint.With(errors.New("a file finds the end of a text only"), `positions last:"TEXT" are the last token of the text`)
	case p != intervention.AllPositions && !phrase:
		return hint.With(errors.New("a file does not know the positions of a prompt"), `--inject adds inputs for them; positions last:"TEXT" can be stored`)
	case e.When != "" && e.When != intervention.Always:
		return errors.New("a file does not know where a prompt ends; --inject adds inputs")
	case m != nil && m.Captured != nil && m.Captured.Prompt == "":
		return errors.New("the captured value depends on the prompt of each run; give captured a prompt")
	}
	return nil
}

func bakeOf(c *call, o *opened, l *models.Layout, e intervention.Entry, layer int) (rewrite.Bake, error) {
	x, err := e.Change(layer, nil)
	if err != nil {
		return rewrite.Bake{}, refused(err)
	}
	b := rewrite.Bake{Baked: models.Baked{Site: e.At(), Layer: layer, Heads: e.Heads}}
	if x.Keep != 1 {
		b.Keep = &x.Keep
	}
	if phrase, ok := x.Positions.EndOf(); ok {
		t, err := o.Folder.Tokenizer()
		if err != nil {
			return b, refused(err)
		}
		b.Phrase, b.Tokens = phrase, spellings(t, phrase)
	}
	if name, _, ok := e.EntityOf(); ok {
		b.Text = name
	}
	m := e.Memory
	if m == nil {
		return b, nil
	}
	b.Tau = x.Tau
	switch {
	case m.Text != "":
		b.Text, b.Encoding, b.Convention = m.Text, string(m.Encoding), string(m.Convention)
		if m.Encoding == "" {
			b.Encoding = string(memory.Encodings[0])
		}
		if m.Convention == "" {
			b.Convention = string(memory.Conventions[0])
		}
		b.Vector, err = encode(c, o, l, m.Text, memory.Encoding(b.Encoding), memory.Convention(b.Convention), layer)
		return b, err
	case m.Vector != "":
		v, err := vector.Read(m.Vector)
		if err != nil {
			return b, refused(err)
		}
		b.Text, b.Encoding, b.Convention = v.Meta[vector.MetaText], v.Meta[vector.MetaEncoding], v.Meta[vector.MetaConvention]
		b.Vector = v.Data
	default:
		s, err := openSteer(c, o)
		if err != nil {
			return b, err
		}
		defer s.Close()
		one := e
		one.Layers, one.Positions = intervention.Layers(fmt.Sprint(layer)), "" // the value is the same at every position
		plan, err := s.Resolve(c.ctx, []intervention.Entry{one}, "", nil)
		if err != nil {
			return b, refused(err)
		}
		b.Vector = plan[0].Vector
	}
	b.Vector = ofHeads(b.Vector, e, l)
	return b, nil
}

// spellings returns the sequences of tokens that a phrase is in a text: after a space, at the beginning, and after other signs.
func spellings(t *tokenizer.Tokenizer, phrase string) [][]int64 {
	var out [][]int64
	for _, ids := range [][]int64{t.EncodeMid(" " + strings.TrimPrefix(phrase, " ")), t.Encode(phrase), t.EncodeMid(phrase)} {
		if !slices.ContainsFunc(out, func(x []int64) bool { return slices.Equal(x, ids) }) {
			out = append(out, ids)
		}
	}
	return out
}

// notePhrases says what a stored phrase cannot do in a file with a cache.
func (c *call) notePhrases(o *opened, l *models.Layout, bakes []rewrite.Bake) error {
	if !slices.ContainsFunc(bakes, func(b rewrite.Bake) bool { return b.Tokens != nil }) {
		return nil
	}
	in, err := inputs.Read(o.Graph, l)
	if err != nil {
		return refused(err)
	}
	if slices.ContainsFunc(in.Roles, func(x inputs.Input) bool { return x.Role == inputs.RolePast }) {
		c.note("%s has a cache: the copy finds a phrase only where one step has all its tokens, so feed the prompt in one step", o.Folder.Model)
	}
	return nil
}

// ofHeads sets the parts of a memory by head to zero that are not of the heads of the entry.
func ofHeads(v []float32, e intervention.Entry, l *models.Layout) []float32 {
	if e.Heads == nil || len(v) != l.Heads*l.DHead {
		return v
	}
	v = slices.Clone(v)
	for i := range v {
		if !slices.Contains(e.Heads, i/l.DHead) {
			v[i] = 0
		}
	}
	return v
}
