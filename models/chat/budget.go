package chat

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ardanlabs/jinja"
)

// A budget limits what one rendering may use. The library cannot be interrupted, so the template itself calls functions of the
// budget, which fail when it is used up: [adapt] writes a call into every loop and macro, after every name that is set, and around
// everything that is written.
type budget struct {
	limit                 time.Duration
	end                   time.Time
	steps, calls, written int
}

// The limits. Templates in use take less than a millisecond, and write little more than the messages.
const (
	maxTime  = time.Second
	maxSteps = 1_000_000
	maxCalls = 10_000
	maxSize  = 4 << 20 // bytes of a value, and of the whole text
	maxRange = 100_000 // Jinja's own limit in a sandbox
)

var errSize = fmt.Errorf("a value or text of more than %d MiB", maxSize>>20)

func newBudget(limit time.Duration) *budget { return &budget{limit: limit, end: time.Now().Add(limit)} }

type function = func(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error)

// functions returns what an adapted template calls, by name.
func (b *budget) functions() map[string]function {
	nothing := func(f func(args []jinja.Value) error) function {
		return func(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
			return jinja.NewString(""), f(args)
		}
	}
	out := map[string]function{
		"range":      b.numbers,
		own + "text": b.text,
		own + "step": nothing(func([]jinja.Value) error { return b.step(1) }),
		own + "call": nothing(func([]jinja.Value) error {
			if b.calls++; b.calls > maxCalls {
				return fmt.Errorf("more than %d calls of macros", maxCalls)
			}
			return b.step(1)
		}),
		own + "size": nothing(func(args []jinja.Value) error { return measure(args...) }),
	}
	for name, f := range map[string]function{"tojson": toJSON, "default": orDefault, "d": orDefault, "first": first, "list": list, "trim": trim, "join": join, "replace": replace} {
		out[own+name] = f
	}
	return out
}

func (b *budget) step(n int) error {
	switch b.steps += n; {
	case b.steps > maxSteps:
		return fmt.Errorf("more than %d steps", maxSteps)
	case time.Now().After(b.end):
		return fmt.Errorf("took longer than %v", b.limit)
	}
	return nil
}

// text converts the value of an expression to text.
func (b *budget) text(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	if len(args) != 1 {
		return jinja.Undefined(), errors.New("tuples are not supported")
	}
	if err := errors.Join(measure(args[0]), b.step(1)); err != nil {
		return jinja.Undefined(), err
	}
	s, err := str(args[0])
	if b.written += len(s); err == nil && b.written > maxSize {
		err = errSize
	}
	return jinja.NewString(s), err
}

// measure refuses values that are too large when they are written out.
func measure(values ...jinja.Value) error {
	size := 0
	for len(values) > 0 {
		v := values[len(values)-1]
		values = values[:len(values)-1]
		switch size++; {
		case v.IsString():
			size += len(v.AsString())
		case v.IsList():
			size += len(v.AsList().Items)
			values = append(values, v.AsList().Items...)
		case v.IsDict():
			for _, k := range v.AsDict().OrderedKeys() {
				x, _ := v.AsDict().Get(k)
				values = append(values, x)
				size += len(k)
			}
		}
		if size > maxSize {
			return errSize
		}
	}
	return nil
}

// numbers is Python's range.
func (b *budget) numbers(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	n := [3]int64{0, 0, 1}
	for _, a := range args {
		if !a.IsInt() || a.AsInt() > math.MaxInt32 || a.AsInt() < math.MinInt32 {
			return jinja.Undefined(), fmt.Errorf("range: want a whole number, got %s", a)
		}
	}
	switch {
	case len(args) == 0 || len(args) > 3 || len(kwargs) > 0:
		return jinja.Undefined(), fmt.Errorf("range: want 1 to 3 numbers, got %d", len(args))
	case len(args) == 1:
		n[1] = args[0].AsInt()
	default:
		for i, a := range args {
			n[i] = a.AsInt()
		}
	}
	if n[2] == 0 {
		return jinja.Undefined(), errors.New("range: want a step other than 0")
	}
	var out []jinja.Value
	for i := n[0]; n[2] > 0 && i < n[1] || n[2] < 0 && i > n[1]; i += n[2] {
		if len(out) == maxRange {
			return jinja.Undefined(), fmt.Errorf("range: want at most %d numbers", maxRange)
		}
		out = append(out, jinja.NewInt(i))
	}
	return jinja.NewList(out), b.step(len(out))
}
