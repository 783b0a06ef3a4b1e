package eval

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Phrase is the name of the position that an entity memory has: the last token of the phrase that stands for the entity.
const Phrase = "phrase"

// openEntity gives each prompt the state of its entity: the value of the site at the last token of the name alone, after the
// beginning-of-text token.
func openEntity(_ string, in sourceInput) (*Source, error) {
	if _, err := openCurated("", in); err != nil {
		return nil, err
	}
	memories := make([][]Memory, len(in.data.Rows))
	for i, r := range in.data.Rows {
		if r.ExplicitEntity == "" {
			return nil, fmt.Errorf("prompt %d has none", i)
		}
		memories[i] = []Memory{{Text: r.ExplicitEntity, captured: &captured{texts: []string{r.ExplicitEntity}}}}
	}
	return &Source{at: func(prompt, _, _ int) []Memory { return memories[prompt] }}, nil
}

// phraseOf returns the part of a two-hop prompt that stands for the entity: obscure_entity, in the prompt's own case, or else what
// the prompt has in the place of the entity in the one-hop prompt. It is "" when there is no such part.
func phraseOf(p results.Prompt) string {
	if p.ObscureEntity != "" {
		for i := range p.TwoHop {
			if end := i + len(p.ObscureEntity); end <= len(p.TwoHop) && strings.EqualFold(p.TwoHop[i:end], p.ObscureEntity) {
				return p.TwoHop[i:end]
			}
		}
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

// phrase returns the position of the last token of the phrase, each time that the prompt has it; none when it has no phrase.
func (e *evaluation) phrase(p results.Prompt, ids []int64) ([]intervention.Positions, error) {
	phrase := phraseOf(p)
	if phrase == "" {
		return nil, nil
	}
	return e.bench.model.Find(intervention.LastOf(phrase), ids)
}

// told is a prompt with the memory as text in front.
type told struct {
	text string
	ids  []int64
}

// tell puts the memory in front of the prompt: "X is Y. …", where X is the phrase for the entity Y. It returns none when the prompt
// has no phrase or no entity.
func (e *evaluation) tell(p results.Prompt) (told, error) {
	phrase := phraseOf(p)
	if phrase == "" || p.ExplicitEntity == "" {
		return told{}, nil
	}
	r, size := utf8.DecodeRuneInString(phrase)
	t := told{text: string(unicode.ToUpper(r)) + phrase[size:] + " is " + strings.TrimSpace(p.ExplicitEntity) + ". " + p.TwoHop}
	var err error
	t.ids, err = e.bench.model.Prompt(t.text)
	return t, err
}
