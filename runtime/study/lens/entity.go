package lens

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Entity is a text that heads may name: the missing hop. It counts by its first token, with a space in front, as a word has it
// within a text, or without one.
type Entity struct {
	Text   string        `json:"text"`
	Tokens []EntityToken `json:"tokens"` // with the space, then without it; one where both are the same token
}

// EntityToken is the first token of an entity.
type EntityToken struct {
	Token string `json:"token"`
	ID    int64  `json:"id"`
	Space bool   `json:"space"` // a space comes before the entity
	Of    int    `json:"of"`    // how many tokens the whole entity has
}

// slots are the tokens looked for in every row.
const slots = 2

// Mark is an entity under a head.
type Mark struct {
	Rank   int           `json:"rank"` // the better of its tokens'; 0 is the likeliest token of all
	LogP   float64       `json:"logp"` // of any of its tokens
	Tokens []MarkedToken `json:"tokens"`
}

// MarkedToken is one token of an entity under a head, in the order of [Entity.Tokens].
type MarkedToken struct {
	Token
	Rank int `json:"rank"`
}

// Entity finds the tokens that a text counts by.
func (l *Lens) Entity(text string) (*Entity, error) {
	word := strings.TrimLeft(text, " ")
	if word == "" {
		return nil, errors.New("the entity is empty")
	}
	e := &Entity{Text: text}
	for _, form := range []string{" " + word, word} {
		ids, err := l.texts.Memory(form)
		if err != nil {
			return nil, err
		}
		if v := int64(l.Layout.Vocab); ids[0] >= v {
			return nil, fmt.Errorf("entity token %d: the vocabulary is 0 to %d; is this the model's own tokenizer?", ids[0], v-1)
		}
		if len(e.Tokens) == 0 || e.Tokens[0].ID != ids[0] {
			e.Tokens = append(e.Tokens, EntityToken{l.texts.Token(ids[0]), ids[0], form != word, len(ids)})
		}
	}
	return e, nil
}

// asked fills the slots; one token may fill two.
func (e *Entity) asked() []int64 {
	return []int64{e.Tokens[0].ID, e.Tokens[len(e.Tokens)-1].ID}
}

func (e *Entity) mark(r *row) *Mark {
	m := &Mark{Rank: math.MaxInt, LogP: math.Inf(-1)}
	for i, t := range e.Tokens {
		x := r.marks[i]
		logp := x.logit - r.logZ
		m.Tokens = append(m.Tokens, MarkedToken{Token{t.Token, t.ID, x.logit, logp}, x.rank})
		m.Rank = min(m.Rank, x.rank)
		m.LogP = logAdd(m.LogP, logp)
	}
	return m
}

// Has reports whether a token is one that the entity counts by; e may be nil.
func (e *Entity) Has(id int64) bool {
	if e == nil {
		return false
	}
	for _, t := range e.Tokens {
		if t.ID == id {
			return true
		}
	}
	return false
}
