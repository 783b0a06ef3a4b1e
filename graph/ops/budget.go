package ops

import (
	"context"
	"errors"
	"fmt"
)

// Budget limits how many steps walks may take together. It is shared by everything that looks at one graph.
type Budget struct {
	ctx   context.Context
	left  int
	limit int
	err   error
}

// ErrBudget is wrapped by the error of a budget that is used up.
var ErrBudget = errors.New("the graph is too entangled")

// NewBudget allows a number of steps, until ctx ends.
func NewBudget(ctx context.Context, steps int) *Budget {
	return &Budget{ctx: ctx, left: steps, limit: steps}
}

// Unlimited is for callers that look at a graph which was recognised, within a budget, before.
func Unlimited() *Budget { return NewBudget(context.Background(), 1<<62) }

// Step takes one step and reports whether the budget allowed it. A walk that it does not allow ends early with what it has: the
// caller asks Err before it believes a result.
func (b *Budget) Step() bool { return b.Spend(1) }

// Spend takes several steps at once.
func (b *Budget) Spend(steps int) bool {
	if b.err != nil {
		return false
	}
	before := b.left
	b.left -= steps
	switch {
	case b.left < 0:
		b.err = fmt.Errorf("%w: recognition needs more than %d steps", ErrBudget, b.limit)
	case before>>14 != b.left>>14: // ask the context every 16,384 steps
		b.err = b.ctx.Err()
	}
	return b.err == nil
}

// Used returns how many steps were taken.
func (b *Budget) Used() int { return b.limit - b.left }

// Err returns why walks ended early, nil when none did.
func (b *Budget) Err() error { return b.err }
