package eval

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Phrase is the name of the position that an entity memory has: the last token of the phrase that stands for the entity.
const Phrase = "phrase"

// and joins the names of the memories of one cell.
const and = " + "

// openEntity gives each prompt the state of its entity: the value of the site at the last token of the name alone, after the
// beginning-of-text token. A prompt with several phrases has an entity for each.
func openEntity(_ string, in sourceInput) (*Source, error) {
	if _, err := openCurated("", in); err != nil {
		return nil, err
	}
	memories := make([][]Memory, len(in.data.Rows))
	for i, r := range in.data.Rows {
		if r.ExplicitEntity == "" {
			return nil, fmt.Errorf("prompt %d has none", i)
		}
		var parts []Memory
		for _, pair := range r.Pairs() {
			parts = append(parts, Memory{Text: pair.Entity, captured: &captured{texts: []string{pair.Entity}}})
		}
		memories[i] = []Memory{joined(parts)}
	}
	return &Source{pairs: true, at: func(prompt, _, _ int) []Memory { return memories[prompt] }}, nil
}

// joined is the memory of a prompt that has one for each of its phrases.
func joined(parts []Memory) Memory {
	m := parts[0]
	if len(parts) > 1 {
		m.parts = parts
		for _, x := range parts[1:] {
			m.Text += and + x.Text
		}
	}
	return m
}

// each lists the memories of the phrases.
func (m Memory) each() []Memory {
	if m.parts == nil {
		return []Memory{m}
	}
	return m.parts
}

// forPhrases returns the memory for a prompt with a number of phrases. The memories of another prompt begin again where that prompt
// has fewer.
func (m Memory) forPhrases(n int) Memory {
	all := m.each()
	parts := make([]Memory, n)
	for i := range parts {
		parts[i] = all[i%len(all)]
	}
	return joined(parts)
}

// phraseOf returns the part of a two-hop prompt that stands for the entity: obscure_entity, in the prompt's own case, or else what
// the prompt has in the place of the entity in the one-hop prompt. It is "" when there is no such part.
func phraseOf(p results.Prompt) string {
	if phrase := inCaseOf(p.TwoHop, p.ObscureEntity); phrase != "" {
		return phrase
	}
	if p.OneHop == "" {
		return ""
	}
	two, one := strings.Fields(p.TwoHop), strings.Fields(p.OneHop)
	n, from, to := min(len(two), len(one)), 0, 0
	for from < n && two[from] == one[from] {
		from++
	}
	for to < n-from && two[len(two)-1-to] == one[len(one)-1-to] {
		to++
	}
	if from+to == 0 { // the prompts have nothing in common
		return ""
	}
	phrase := strings.Join(two[from:len(two)-to], " ")
	if !strings.Contains(p.TwoHop, phrase) { // the prompt has other spaces
		return ""
	}
	return phrase
}

// phrasesOf returns the phrases of a prompt, one for each memory; none when the prompt lacks one of them.
func phrasesOf(p results.Prompt) []string {
	if len(p.More) == 0 {
		if phrase := phraseOf(p); phrase != "" {
			return []string{phrase}
		}
		return nil
	}
	var out []string
	for _, pair := range p.Pairs() { // nothing but its column says which memory a phrase is for
		phrase := inCaseOf(p.TwoHop, pair.Phrase)
		if phrase == "" {
			return nil
		}
		out = append(out, phrase)
	}
	return out
}

// inCaseOf returns a phrase as a text has it; "" when the text does not have it in any case.
func inCaseOf(text, phrase string) string {
	for i := range text {
		if end := i + len(phrase); phrase != "" && end <= len(text) && strings.EqualFold(text[i:end], phrase) {
			return text[i:end]
		}
	}
	return ""
}

// phrases returns the positions of the last token of each phrase, each time that the prompt has it; none when the prompt lacks one.
func (e *evaluation) phrases(p results.Prompt, ids []int64) ([][]intervention.Positions, error) {
	phrases := phrasesOf(p)
	if err := intervention.Apart(p.TwoHop, phrases); err != nil {
		return nil, err
	}
	var out [][]intervention.Positions
	for i, phrase := range phrases {
		at, err := e.bench.model.Find(intervention.LastOf(phrase), ids)
		if err != nil {
			return nil, err
		}
		for j, other := range out {
			if slices.ContainsFunc(at, func(x intervention.Positions) bool { return slices.Contains(other, x) }) {
				return nil, fmt.Errorf("the phrases %q and %q end in the same token: want one memory for a token", phrases[j], phrases[i])
			}
		}
		out = append(out, at)
	}
	return out, nil
}

// told is a prompt with its memories as text in front.
type told struct {
	text string
	ids  []int64
}

// tell puts the memories in front of the prompt: "X is Y. …", where X is the phrase for the entity Y. It returns none when the prompt
// lacks a phrase or an entity.
func (e *evaluation) tell(p results.Prompt) (told, error) {
	phrases := phrasesOf(p)
	if phrases == nil || p.ExplicitEntity == "" {
		return told{}, nil
	}
	t := told{text: p.TwoHop}
	for i, pair := range slices.Backward(p.Pairs()) {
		r, size := utf8.DecodeRuneInString(phrases[i])
		t.text = string(unicode.ToUpper(r)) + phrases[i][size:] + " is " + strings.TrimSpace(pair.Entity) + ". " + t.text
	}
	var err error
	t.ids, err = e.bench.model.Prompt(t.text)
	return t, err
}

// changes lists what happens in a cell: its memory at each position of the question, and its further memories at those of the further
// phrases. A question without further phrases, such as the clean one, has no place for these.
func (b bench) changes(q question, c cell) intervention.Plan {
	var out intervention.Plan
	add := func(c cell, positions []intervention.Positions) {
		for _, at := range positions {
			x := b.change(c)
			x.Positions = at
			out = append(out, x)
		}
	}
	add(c, q.at)
	for i, v := range c.more {
		c.vector = v
		add(c, q.more[i])
	}
	return out
}
