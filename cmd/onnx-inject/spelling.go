package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
)

// textOf removes the prefix by which eval distinguishes a text from other sources of memories: text:X is X.
func textOf(memory string) string { return strings.TrimPrefix(memory, "text:") }

// noteSource warns if a memory is the name of a source of memories, which only eval has.
func (c *call) noteSource(memory string) {
	if textOf(memory) == memory && eval.CheckSources([]string{memory}) == nil {
		c.note("--memory %s is a text here, and a source of memories in eval; write text:%s if you mean the text", quote(memory), memory)
	}
}

// spell finds the tokens of a memory that is a text, or was one before encode, and warns if another spelling of it, or of a name of --for, is the usual one.
func (c *call) spell(x *changes, s *steer.Model) error {
	if x.entities != nil {
		for _, name := range x.entities.names {
			c.noteSpelling(name, s.Memory, s.Layout)
		}
	}
	m := x.memory
	if m == nil || m.source.Text == "" || m.source.Encoding == "" {
		return nil
	}
	ids, err := s.Memory(m.source.Text)
	if m.source.Encoding == string(memory.EncodingLayer) {
		ids, err = s.LayerMemory(m.source.Text)
	}
	if err != nil {
		return refused(err)
	}
	m.tokens = s.Tokens(ids)
	if m.vector == nil {
		c.noteSpelling(m.text, s.Memory, s.Layout)
	}
	return nil
}

// noteSpelling warns about a word whose other spelling, with or without a space before it, is one token that the model knows. The
// given spelling then has several tokens, or it is the token that only the first word of a text has.
func (c *call) noteSpelling(word string, tokens func(string) ([]int64, error), l *models.Layout) {
	other := strings.TrimPrefix(word, " ")
	if other == word {
		other = " " + word
	}
	ids, err := tokens(word)
	if err != nil {
		return // running the memory reports it
	}
	others, err := tokens(other)
	if err != nil || len(others) != 1 || slices.Equal(ids, others) || !known(l, others) {
		return
	}
	switch {
	case len(ids) > 1:
		c.note("the memory %s is %d tokens; the word %s is one token: try --memory %[3]s", quote(word), len(ids), quote(other))
	case len(other) > len(word):
		c.note("the memory %s is a word at the start of a text; inside a text it is another token: try --memory %s", quote(word), quote(other))
	}
}

// known reports whether the model learned tokens: weight decay reduces the rows of others to almost nothing. A model without a
// table of embeddings is assumed to know them.
func known(l *models.Layout, ids []int64) bool {
	v, err := memory.Vector(l, ids, memory.EncodingEmbed, memory.ConventionRaw)
	return err != nil || memory.Length(v) >= memory.Faint
}

// maxPieces is the number of tokens of a memory that are printed.
const maxPieces = 12

// tokensText lists the tokens of a memory. A single token that equals the text is only counted.
func (m *injection) tokensText() string {
	out := countTokens(len(m.tokens))
	if len(m.tokens) == 1 && m.tokens[0].Token == m.source.Text {
		return out
	}
	for i, t := range m.tokens {
		if i == maxPieces {
			return out + " …"
		}
		out += fmt.Sprintf(" %s", quote(t.Token))
	}
	return out
}
