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

	Absent []Absent `json:"absent,omitempty"` // parts that the file cannot give
}

// Question is what a report is about.
type Question struct {
	Prompt  string
	Against string  // a second prompt; "" for none
	Entity  *Entity // what is looked for under the heads; nil for nothing
	Answer  string  // what the model should say next; "" means its likeliest token, in those parts that need one
	Top     int     // how many likely tokens are shown
}

// Report looks at a prompt, and at a second one beside it, with the parts that the lens was opened for.
func (l *Lens) Report(ctx context.Context, q Question) (*Report, error) {
	r := &Report{Model: l.Name(), Norm: l.options.Norm, BOS: l.options.Texts.PromptBOS, Layers: l.Layers, PerRow: l.Layout.Heads, Vocab: l.Layout.Vocab,
		Top: q.Top, Entity: q.Entity, Absent: l.absent}
	answer := int64(-1)
	if q.Answer != "" {
		var err error
		if answer, err = l.texts.Answer(q.Answer); err != nil {
			return nil, err
		}
	}
	queries := []Query{{q.Prompt, q.Entity}}
	if q.Against != "" {
		queries = append(queries, Query{q.Against, q.Entity})
	}
	var err error
	if l.parts.SkipHeads {
		for _, x := range queries {
			v, err := l.view(x.Prompt)
			if err != nil {
				return nil, err
			}
			r.Views = append(r.Views, v)
		}
	} else if r.Views, err = l.Look(ctx, queries, q.Top); err != nil {
		return nil, err
	}
	if q.Entity != nil && len(r.Views) == 2 {
		for k := range r.Views[0].Heads {
			r.Difference = append(r.Difference, r.Views[0].Heads[k].Entity.LogP-r.Views[1].Heads[k].Entity.LogP)
		}
	}
	return r, l.see(ctx, r.Views, answer, q.Top)
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
