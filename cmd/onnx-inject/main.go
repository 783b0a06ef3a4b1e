package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/isolate"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // start collecting at 8 MB instead of 4: most graphs fit, and a collection costs a fifth of the time to read one
	}
	child, err := isolate.Enter()
	if err != nil {
		report(os.Stderr, err)
		os.Exit(exitInternal)
	}
	p := process{stdout: os.Stdout, stderr: os.Stderr, child: child, colour: isTerminal(os.Stdout)}
	if child != nil {
		p.stderr, p.colour = child.Stderr, child.Colour
	}
	code := p.run(os.Args)
	child.End()
	os.Exit(code)
}

// process is the program with its files.
type process struct {
	stdout, stderr io.Writer
	colour         bool // stdout is a terminal
	args           []string
	child          *isolate.Child // nil unless this process runs a model for another one
}

// run runs the program without colours; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	return process{stdout: stdout, stderr: stderr}.run(args)
}

// run is the whole program; it returns the exit code.
func (p process) run(args []string) (code int) {
	p.args = args
	stdout, stderr := p.stdout, p.stderr
	ctx, stop := interruptible(context.Background(), stderr, p.child)
	defer stop()
	out := bufio.NewWriterSize(stdout, 64<<10)
	defer func() {
		if p := recover(); p != nil {
			report(stderr, hintf(fmt.Errorf("internal error: %v", p), "this is a bug in onnx-inject; please report it with the lines around this one"))
			for line := range strings.Lines(string(debug.Stack())) {
				say(stderr, "%s", line)
			}
			code = exitInternal
		}
	}()
	err := p.execute(ctx, args, out)
	if ferr := out.Flush(); ferr != nil && (err == nil || errors.Is(err, ferr)) { // a command may have returned it already
		err = coded{fmt.Errorf("write standard output: %w", cause(ferr)), exitWrite}
	}
	if err != nil && ctx.Err() != nil && !errors.As(err, new(interrupted)) && !errors.As(err, new(reported)) {
		err = context.Cause(ctx) // the interruption is why it failed
	}
	report(stderr, asCalled(args[0], err))
	return exitCode(err)
}

// asCalled writes the commands in the advice of an error as the user calls this program, so that they can be pasted.
func asCalled(arg0 string, err error) error {
	advice := hint.Of(err)
	if advice == "" {
		return err
	}
	called := calledAs(arg0)
	for _, cmd := range append(commands(), &command{name: "COMMAND"}) {
		advice = strings.ReplaceAll(advice, "onnx-inject "+cmd.name, called+" "+cmd.name)
	}
	return hint.With(err, advice)
}

// cause returns the cause of a path error, without operation and path.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
