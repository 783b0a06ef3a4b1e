package ops

import (
	"context"
	"errors"
	"fmt"
)

// Budget limits the total number of steps of several walks. Everything that inspects one graph shares it.
type Budget struct {
	ctx   context.Context
	left  int
	limit int
	err   error
}

// ErrBudget is wrapped by the error of an exhausted budget.
var ErrBudget = errors.New("the graph is too entangled")

// NewBudget allows the given number of steps, until ctx ends.
func NewBudget(ctx context.Context, steps int) *Budget {
	return &Budget{ctx: ctx, left: steps, limit: steps}
}

// Unlimited returns a budget for a graph that was recognised within a budget before.
func Unlimited() *Budget { return NewBudget(context.Background(), 1<<62) }

// Step takes one step and reports whether the budget allowed it. If not, the walk ends early with a partial result, so the
// caller must check Err before it uses the result.
func (b *Budget) Step() bool { return b.spend(1) }

// spend takes several steps at once.
func (b *Budget) spend(steps int) bool {
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

// Used returns the number of steps taken.
func (b *Budget) Used() int { return b.limit - b.left }

// Err returns the reason why walks ended early, or nil if none did.
func (b *Budget) Err() error { return b.err }
