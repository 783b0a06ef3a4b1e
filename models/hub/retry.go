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

// temporary is a failure that may disappear after a short time.
type temporary struct {
	error
	after time.Duration // the delay that the server requests; 0 when it requests none
}

func (t *temporary) Unwrap() error { return t.error }

const (
	maxTries = 5                // consecutive tries without progress
	maxAfter = 5 * time.Minute  // no retry when a server requests a longer delay
	enough   = int64(256 << 10) // bytes that count as progress
)

// retry calls do until it succeeds, fails permanently, or has failed too often. do returns the number of new bytes.
func (c *Client) retry(ctx context.Context, what string, do func() (got int64, err error)) error {
	for failed := 0; ; {
		got, err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil { // the context's end is the reason for the failure
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
		c.log("%s: %v; retrying in %v", what, err, wait.Round(time.Second/10))
		if err := c.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// backoff returns 1, 2, 4, … seconds minus up to a quarter, so that many clients do not retry at the same time.
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

// retryAfter reads the delay that a server requests: seconds, or a time.
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
