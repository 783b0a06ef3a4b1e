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
		debug.SetGCPercent(200) // collect from 8 MB on, not from 4: most graphs fit, and collecting costs a fifth of reading one
	}
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is the whole program with its exits in the open.
func run(args []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := interruptible(context.Background())
	defer stop()
	out := bufio.NewWriterSize(stdout, 64<<10)
	defer func() {
		if p := recover(); p != nil {
			report(stderr, hintf(fmt.Errorf("internal error: %v\n%s", p, debug.Stack()), "this is a mistake in onnx-inject; please report it with the lines above"))
			code = exitInternal
		}
	}()
	err := execute(ctx, args, out, stderr, isTerminal(stdout))
	if ferr := out.Flush(); ferr != nil && (err == nil || errors.Is(err, ferr)) { // a verb may have met it first
		err = coded{fmt.Errorf("write standard output: %w", cause(ferr)), exitWrite}
	}
	if err != nil && ctx.Err() != nil && !errors.As(err, new(interrupted)) {
		err = context.Cause(ctx) // whatever failed then, failed for this reason
	}
	report(stderr, err)
	return exitCode(err)
}

// cause strips a path error down to what went wrong.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
