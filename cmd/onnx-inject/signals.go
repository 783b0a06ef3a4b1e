package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interrupted is why a run was given up: a signal from the user or the system.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return "interrupted" }

// code is 128 + the number of the signal, as shells have it.
func (i interrupted) code() int {
	if i.signal == syscall.SIGTERM {
		return 128 + 15
	}
	return 128 + 2
}

// interruptible returns a context that ends with the first SIGINT or SIGTERM; context.Cause tells which. The second one ends
// the process at once, as it would without us.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(interrupted{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
