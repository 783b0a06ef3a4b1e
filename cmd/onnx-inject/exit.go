package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// The exit codes are part of the contract; doc.go says what they mean.
const (
	exitInternal  = 1
	exitUsage     = 2
	exitRefused   = 3
	exitFailed    = 4
	exitWrite     = 5
	exitLocked    = 6
	exitMemory    = 7
	exitNotFinite = 8
)

// exitCodes describes the exit codes for the manual page.
var exitCodes = []struct {
	code int
	what string
}{
	{0, "done"},
	{exitInternal, "an error inside this program"},
	{exitUsage, "the command line is wrong"},
	{exitRefused, "refused: a model, file, library or device that cannot be used"},
	{exitFailed, "a check failed: verify, ort doctor, a memory without effect"},
	{exitWrite, "cannot write"},
	{exitLocked, "locked by another run"},
	{exitMemory, "out of memory"},
	{exitNotFinite, "done, but some numbers are not finite"},
	{exitCode(interrupted{os.Interrupt}), "interrupted by SIGINT"},
	{exitCode(interrupted{syscall.SIGTERM}), "interrupted by SIGTERM"},
}

// coded is an error with an exit code.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// reported is the exit code of a child process, which has printed its own messages.
type reported int

func (r reported) Error() string { return fmt.Sprintf("exit code %d", int(r)) }

// usagef returns an error about the command line.
func usagef(format string, args ...any) error { return coded{fmt.Errorf(format, args...), exitUsage} }

// usage marks an error as one about the command line; nil stays nil.
func usage(err error) error { return withCode(err, exitUsage) }

// refused marks an error as one about an input: a model, a file, a library, a device. nil stays nil.
func refused(err error) error { return withCode(err, exitRefused) }

// unwritten marks an error as one about writing; nil stays nil.
func unwritten(err error) error { return withCode(err, exitWrite) }

func withCode(err error, code int) error {
	if err == nil {
		return nil
	}
	return coded{err, code}
}

// hintf attaches advice to an error.
func hintf(err error, format string, args ...any) error {
	return hint.With(err, fmt.Sprintf(format, args...))
}

// exitCode returns the exit code of an error. Errors about memory, writing and signals are recognised wherever they occurred, and
// override the code that a caller gave.
func exitCode(err error) int {
	var write *atomicfile.Error
	var stopped interrupted
	var c coded
	var child reported
	switch {
	case err == nil:
		return 0
	case errors.As(err, &child):
		return int(child)
	case errors.As(err, &stopped):
		return stopped.code()
	case errors.Is(err, runtime.ErrMemory), errors.Is(err, syscall.ENOMEM):
		return exitMemory
	case errors.As(err, &write):
		return exitWrite
	case errors.As(err, &c):
		return c.code
	}
	return exitInternal
}

// report prints an error on one line and its hint on another. Their texts can contain names from a file, which cannot add a
// line: a name such as "x\nhint: run this" would otherwise look like advice of this program.
func report(w io.Writer, err error) {
	if err == nil || errors.As(err, new(reported)) {
		return
	}
	say(w, "%s", oneLine(err))
	if advice := hint.Of(err); advice != "" {
		say(w, "hint: %s", advice)
	}
}

// oneLine returns the text of an error, with joined errors separated by semicolons.
func oneLine(err error) string {
	text := err.Error()
	for e := err; e != nil; e = errors.Unwrap(e) {
		joined, ok := e.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		var lines, parts []string
		for _, part := range joined.Unwrap() {
			lines, parts = append(lines, part.Error()), append(parts, oneLine(part))
		}
		if before, after, found := strings.Cut(text, strings.Join(lines, "\n")); found {
			return before + strings.Join(parts, "; ") + after
		}
		return text // several errors in one format
	}
	return text
}

// say prints a line that is not a result. It can contain text from a file, so it is escaped.
func say(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "onnx-inject: %s\n", escape(strings.TrimRight(fmt.Sprintf(format, args...), "\n")))
}
