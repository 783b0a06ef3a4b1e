package lens

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Pair is one question asked twice: with the missing hop spelled out, and with it left to be found.
type Pair struct {
	OneHop, TwoHop string
	Entity         string // the missing hop
}

// Survey counts for every head how often it names the missing hop, over many pairs of prompts.
type Survey struct {
	Model    string      `json:"model"` // its name
	Norm     Norm        `json:"norm"`
	BOS      bool        `json:"bos"` // the beginning-of-text token comes before the prompts
	Pairs    int         `json:"pairs"`
	Among    int         `json:"among"` // a head names an entity whose token is among its so many likeliest
	Heads    []Count     `json:"heads"` // by layer, then by head
	Outcomes [][]Outcome `json:"-"`     // [pair][head], in the order of Heads
	Asked    []Pair      `json:"-"`     // the pairs

	// An entity counts by its first token, and one that many entities share (" The") says little about any of them.
	FirstTokens int       `json:"first_tokens"` // how many there are, with a space in front
	Commonest   Commonest `json:"commonest_first_token"`
}

// Commonest is the first token that most pairs share.
type Commonest struct {
	Token string `json:"token"`
	ID    int64  `json:"id"`
	Pairs int    `json:"pairs"`
}

// Count is one head of a survey.
type Count struct {
	Layer      int     `json:"layer"`
	Head       int     `json:"head"`
	OneHop     int     `json:"one_hop"`    // pairs for whose one-hop prompt the head names the entity
	TwoHop     int     `json:"two_hop"`    // … for whose two-hop prompt
	OnlyOneHop int     `json:"only_one"`   // … for the one-hop and not for the two-hop prompt
	OnlyTwoHop int     `json:"only_two"`   // … for the two-hop and not for the one-hop prompt
	Difference int     `json:"difference"` // OneHop - TwoHop
	LogP       float64 `json:"logp"`       // mean over the pairs of the entity's log-probability, one hop minus two hops
}

// Outcome is one head for one pair.
type Outcome struct {
	RankOneHop, RankTwoHop int
	LogPOneHop, LogPTwoHop float64
}

// CheckPairs refuses pairs that lack a text.
func CheckPairs(pairs []Pair) error {
	if len(pairs) == 0 {
		return errors.New("no pairs of prompts")
	}
	for i, x := range pairs {
		if x.OneHop == "" || x.TwoHop == "" || strings.TrimLeft(x.Entity, " ") == "" {
			return hint.With(fmt.Errorf("prompt %d: want a one-hop prompt, a two-hop prompt and an entity", i),
				"they are the columns explicit_sentence, obscure_sentence and explicit_entity")
		}
	}
	return nil
}

// rowsAtOnce bounds how many heads of how many prompts go through the unembedding together: enough that reading the
// weights is a small part of the work, few enough that nothing grows with the data.
const rowsAtOnce = 4096

// Survey looks at every pair. step is called after each batch of pairs with how many are done.
func (l *Lens) Survey(ctx context.Context, pairs []Pair, among int, step func(done, all int)) (*Survey, error) {
	if err := CheckPairs(pairs); err != nil {
		return nil, err
	}
	p, err := l.product(ctx, 0, slots)
	if err != nil {
		return nil, err
	}
	defer p.session.Close()
	s := &Survey{Model: l.Name(), Norm: l.options.Norm, BOS: l.options.Texts.PromptBOS, Pairs: len(pairs), Among: among, Asked: pairs}
	for _, layer := range l.Layers {
		for h := range l.Layout.Heads {
			s.Heads = append(s.Heads, Count{Layer: layer, Head: h})
		}
	}
	seen := map[int64]int{}
	batch := max(1, rowsAtOnce/(2*len(s.Heads)))
	for from := 0; from < len(pairs); from += batch {
		to := min(from+batch, len(pairs))
		var queries []Query
		for i, x := range pairs[from:to] {
			e, err := l.Entity(x.Entity)
			if err != nil {
				return nil, fmt.Errorf("prompt %d: %w", from+i, err)
			}
			seen[e.Tokens[0].ID]++
			if t := e.Tokens[0]; seen[t.ID] > s.Commonest.Pairs {
				s.Commonest = Commonest{t.Token, t.ID, seen[t.ID]}
			}
			queries = append(queries, Query{x.OneHop, e}, Query{x.TwoHop, e})
		}
		views, err := l.look(ctx, p, queries)
		if err != nil {
			return nil, fmt.Errorf("prompts %d to %d: %w", from, to-1, err)
		}
		for i := 0; i < len(views); i += 2 {
			s.add(views[i], views[i+1])
		}
		step(to, len(pairs))
	}
	s.FirstTokens = len(seen)
	return s, nil
}

func (s *Survey) add(one, two View) {
	outcomes := make([]Outcome, len(s.Heads))
	for k := range s.Heads {
		a, b, c := one.Heads[k].Entity, two.Heads[k].Entity, &s.Heads[k]
		outcomes[k] = Outcome{a.Rank, b.Rank, a.LogP, b.LogP}
		c.LogP += (a.LogP - b.LogP) / float64(s.Pairs)
		inOne, inTwo := a.Rank < s.Among, b.Rank < s.Among
		if inOne {
			c.OneHop++
		}
		if inTwo {
			c.TwoHop++
		}
		switch {
		case inOne && !inTwo:
			c.OnlyOneHop++
		case inTwo && !inOne:
			c.OnlyTwoHop++
		}
		c.Difference = c.OneHop - c.TwoHop
	}
	s.Outcomes = append(s.Outcomes, outcomes)
}

// Ranked returns the heads, those first that name the entity most often for the one-hop prompt alone.
func (s *Survey) Ranked() []Count {
	out := slices.Clone(s.Heads)
	slices.SortStableFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.OnlyOneHop, a.OnlyOneHop), cmp.Compare(b.Difference, a.Difference), cmp.Compare(b.LogP, a.LogP))
	})
	return out
}

// shape is the layers of the heads and how many heads each has.
func (s *Survey) shape() (layers []int, heads int) {
	for _, c := range s.Heads {
		if c.Head == 0 {
			layers = append(layers, c.Layer)
		}
	}
	return layers, len(s.Heads) / len(layers)
}
