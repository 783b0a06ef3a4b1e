package lens

import (
	"context"
	"fmt"
	"math"
)

// Report is one look at a model: one prompt, or two side by side, with everything that decides the numbers.
type Report struct {
	Model  string  `json:"model"` // its name
	Norm   Norm    `json:"norm"`
	BOS    bool    `json:"bos"` // the beginning-of-text token comes before the prompts
	Layers []int   `json:"layers"`
	PerRow int     `json:"heads_per_layer"`
	Vocab  int     `json:"vocab"`
	Top    int     `json:"top"`
	Entity *Entity `json:"entity,omitempty"`
	Views  []View  `json:"prompts"` // the prompt, and the one it is held against

	// Difference is the entity's log-probability under each head for the first prompt minus that for the second, in the order
	// of a view's heads; nil unless there are an entity and two prompts. It is the log-probability and not the logit because the
	// constant that a norm or a bias adds to all logits of a head is no evidence of anything.
	Difference []float64 `json:"difference,omitempty"`
}

// Report looks at a prompt, and at a second one where against is not empty, with the top likeliest tokens of each head.
func (l *Lens) Report(ctx context.Context, prompt, against string, entity *Entity, top int) (*Report, error) {
	queries := []Query{{prompt, entity}}
	if against != "" {
		queries = append(queries, Query{against, entity})
	}
	views, err := l.Look(ctx, queries, top)
	if err != nil {
		return nil, err
	}
	r := &Report{Model: l.Name(), Norm: l.options.Norm, BOS: l.options.Texts.PromptBOS, Layers: l.Layers, PerRow: l.Layout.Heads, Vocab: l.Layout.Vocab, Top: top, Entity: entity, Views: views}
	if entity != nil && len(views) == 2 {
		for k := range views[0].Heads {
			r.Difference = append(r.Difference, views[0].Heads[k].Entity.LogP-views[1].Heads[k].Entity.LogP)
		}
	}
	return r, nil
}

// Names reports whether a head of a view has the entity among its top tokens.
func (r *Report) Names(h Head) bool { return h.Entity != nil && h.Entity.Rank < r.Top }

// Largest is the difference that is farthest from 0, without its sign.
func (r *Report) Largest() float64 {
	largest := 0.0
	for _, d := range r.Difference {
		largest = max(largest, math.Abs(d))
	}
	return largest
}

// Signed writes a difference with its sign and as many decimals as the largest of its table asks for.
func Signed(x, largest float64) string {
	switch {
	case largest < 0.1:
		return fmt.Sprintf("%+.3f", x)
	case largest < 2:
		return fmt.Sprintf("%+.2f", x)
	}
	return fmt.Sprintf("%+.1f", x)
}
