package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// temporary is a failure that may be gone in a moment.
type temporary struct {
	error
	after time.Duration // how long the server asks to wait; 0 when it does not say
}

func (t *temporary) Unwrap() error { return t.error }

const (
	maxTries = 5                // in a row without getting anywhere
	maxAfter = 5 * time.Minute  // a server that asks for more is taken at its word: later
	enough   = int64(256 << 10) // bytes that count as getting somewhere
)

// retry calls do until it succeeds, fails for good, or has failed too often. do tells how many bytes it got.
func (c *Client) retry(ctx context.Context, what string, do func() (got int64, err error)) error {
	for failed := 0; ; {
		got, err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil { // what failed then, failed for this reason
			return context.Cause(ctx)
		}
		var t *temporary
		if !errors.As(err, &t) || t.after > maxAfter {
			return err
		}
		if got >= enough {
			failed = 0
		}
		if failed++; failed == maxTries {
			return err
		}
		wait := max(t.after, backoff(failed))
		c.log("%s: %v; trying again in %v", what, err, wait.Round(time.Second/10))
		if err := c.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// backoff is 1, 2, 4, … seconds, up to a quarter less, so that many clients do not come back at the same time.
func backoff(failed int) time.Duration {
	d := time.Second << (failed - 1)
	return d - time.Duration(rand.Int64N(int64(d)/4))
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter reads how long a server asks to wait: seconds, or a time.
func retryAfter(h http.Header) time.Duration {
	s := h.Get("Retry-After")
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return time.Duration(min(n, 1<<20)) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

func (c *Client) log(format string, args ...any) {
	if c.Log != nil {
		c.Log(fmt.Sprintf(format, args...))
	}
}
