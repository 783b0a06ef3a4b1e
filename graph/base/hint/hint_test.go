package hint

import (
	"errors"
	"fmt"
	"testing"
)

// Of finds advice through wrapping errors, and the outermost advice has priority.
func TestHint(t *testing.T) {
	cause := errors.New("cause")
	inner := With(cause, "inner")
	for _, tt := range []struct {
		err  error
		want string
	}{{cause, ""}, {inner, "inner"}, {fmt.Errorf("more: %w", inner), "inner"}, {With(fmt.Errorf("more: %w", inner), "outer"), "outer"}} {
		if got := Of(tt.err); got != tt.want || !errors.Is(tt.err, cause) {
			t.Errorf("%v: advice %q, want %q", tt.err, got, tt.want)
		}
	}
	if inner.Error() != "cause" {
		t.Errorf("the advice is part of %q", inner)
	}
	if With(nil, "advice") != nil || Of(nil) != "" {
		t.Error("no error has a hint")
	}
}
