package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/onnx-inject/onnx-inject/runtime/isolate"
)

// interrupted is the error of a run that a signal stopped.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return "interrupted" }

// Signal returns the signal, which a parent passes on to its child.
func (i interrupted) Signal() os.Signal { return i.signal }

// code is 128 + the number of the signal, as in shells.
func (i interrupted) code() int {
	if i.signal == syscall.SIGTERM {
		return 128 + 15
	}
	return 128 + 2
}

// patience is how long a command may take to end after a signal. Then the process ends whatever it does: files are written whole
// or in steps that can be resumed. A child ends a little earlier, so that its parent passes its message on.
const patience = 1700 * time.Millisecond

// interruptible returns a context that is cancelled by the first SIGINT or SIGTERM; context.Cause returns the signal. If stop is
// not called in time, the process ends. The second signal ends it at once, as by default. A child gets its signals from its
// parent, because the system sends them to both when a user presses Ctrl-C.
func interruptible(parent context.Context, stderr io.Writer, child *isolate.Child) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	wait := patience
	own := make(chan os.Signal, 1)
	signals := (<-chan os.Signal)(own)
	if child != nil {
		wait -= 200 * time.Millisecond
		signals = child.Signals
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
	} else {
		signal.Notify(own, os.Interrupt, syscall.SIGTERM)
	}
	stopped := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			signal.Stop(own)
			err := interrupted{s}
			cancel(err)
			select {
			case <-time.After(wait):
				report(stderr, err)
				os.Exit(err.code())
			case <-stopped:
			}
		case <-stopped:
		}
	}()
	return ctx, func() {
		signal.Stop(own)
		cancel(nil)
		close(stopped)
	}
}
