package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interrupted is the error of a run that a signal stopped.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return "interrupted" }

// code is 128 + the number of the signal, as in shells.
func (i interrupted) code() int {
	if i.signal == syscall.SIGTERM {
		return 128 + 15
	}
	return 128 + 2
}

// interruptible returns a context that is cancelled by the first SIGINT or SIGTERM; context.Cause returns the signal. The second
// signal ends the process at once, as by default.
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
