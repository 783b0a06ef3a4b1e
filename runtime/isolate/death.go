package isolate

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/onnx-inject/onnx-inject/runtime"
)

// Death is the error of a child that did not end by itself. It wraps [runtime.ErrMemory] if memory was short.
type Death struct {
	During phase         // what the child did; "" for neither loading nor running a model
	Limit  time.Duration // the limit on time that it exceeded; 0 if it crashed
	Memory bool          // memory was short
	Words  string        // what it said last, on one line
}

func (d *Death) Error() string {
	what := map[phase]string{loading: "while it loaded the model", running: "while it ran the model", "": "outside of the model"}[d.During]
	switch {
	case d.Limit > 0 && d.During == loading:
		return fmt.Sprintf("the model did not load within %v: its process was stopped", d.Limit)
	case d.Limit > 0:
		return fmt.Sprintf("a run of the model did not end within %v: its process was stopped", d.Limit)
	case d.Memory:
		return fmt.Sprintf("%v: the process crashed %s: %s", runtime.ErrMemory, what, d.Words)
	}
	return fmt.Sprintf("the process crashed %s: %s", what, d.Words)
}

func (d *Death) Unwrap() error {
	if d.Memory {
		return runtime.ErrMemory
	}
	return nil
}

// Loading reports whether the child was loading a model.
func (d *Death) Loading() bool { return d.During == loading }

// short matches what the runtimes of Go, C and C++ print when they find no memory. libgcc is opened only when a thread has to be
// ended because there was no memory for it.
var short = regexp.MustCompile(`(?i)out of memory|bad_alloc|cannot allocate|failed to (reserve|allocate)|pthread_create failed|libgcc_s\.so\.1 must be installed`)

// signalLine is the line with which a Go program reports the signal that ended it.
var signalLine = regexp.MustCompile(`(?m)^SIG[A-Z]+: .*$`)

// explain finds the cause in what the child printed, and in how it ended.
func (d *Death) explain(printed string, failed error) {
	first, _, _ := strings.Cut(strings.TrimSpace(printed), "\n")
	if first = strings.TrimSpace(first); len(first) > 200 {
		first = strings.ToValidUTF8(first[:200], "") + "…"
	}
	d.Words = first
	if s := strings.TrimSpace(signalLine.FindString(printed)); s != "" && s != first {
		d.Words += " (" + s + ")"
	}
	d.Memory = d.Limit == 0 && short.MatchString(printed)
	if d.Words != "" {
		return
	}
	var exit *exec.ExitError
	if errors.As(failed, &exit) {
		d.Words = exit.Error()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL && d.Limit == 0 {
			d.Memory, d.Words = true, "it was killed, as the system does when memory runs out"
		}
		return
	}
	d.Words = "it ended without a result"
}
