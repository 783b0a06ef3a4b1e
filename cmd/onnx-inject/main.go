package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // start collecting at 8 MB instead of 4: most graphs fit, and a collection costs a fifth of the time to read one
	}
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is the whole program; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := interruptible(context.Background())
	defer stop()
	out := bufio.NewWriterSize(stdout, 64<<10)
	defer func() {
		if p := recover(); p != nil {
			report(stderr, hintf(fmt.Errorf("internal error: %v\n%s", p, debug.Stack()), "this is a bug in onnx-inject; please report it with the lines above"))
			code = exitInternal
		}
	}()
	err := execute(ctx, args, out, stderr, isTerminal(stdout))
	if ferr := out.Flush(); ferr != nil && (err == nil || errors.Is(err, ferr)) { // a command may have returned it already
		err = coded{fmt.Errorf("write standard output: %w", cause(ferr)), exitWrite}
	}
	if err != nil && ctx.Err() != nil && !errors.As(err, new(interrupted)) {
		err = context.Cause(ctx) // the interruption is why it failed
	}
	report(stderr, err)
	return exitCode(err)
}

// cause returns the cause of a path error, without operation and path.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
