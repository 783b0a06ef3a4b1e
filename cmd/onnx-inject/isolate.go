package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/isolate"
)

// leastAddressSpace is what a process needs before it loads a model: the runtime of Go reserves 1.2 GB, the rest is ONNX Runtime with
// its threads.
const leastAddressSpace = 7 << 28 // 1.75 GiB

// isolatedFlags are the flags of commands that can run a model in a child process, with those about the host.
func isolatedFlags() []cli.Flag {
	memory := "limit its memory to `MB` of address space; 0 means the machine's memory (Linux, CPU only)"
	return append(hostFlags(),
		boolFlag("isolate", "run the model in a process with limits, for files that are not trusted"),
		&cli.DurationFlag{Name: "load-limit", Usage: "with --isolate: stop if loading takes longer than `TIME`; 0 means never", Value: 20 * time.Second, DefaultText: "20s"},
		&cli.DurationFlag{Name: "run-limit", Usage: "with --isolate: stop if one run takes longer than `TIME`; 0 means never", Value: 2 * time.Minute, DefaultText: "2m"},
		&cli.IntFlag{Name: "memory-limit", Usage: "with --isolate: " + memory},
	)
}

// isolated makes a command run in a child process where --isolate requires it. So it does where the address space is limited
// (ulimit -v): a host that finds no memory aborts, and only another process can report this.
func isolated(run func(*call) error) func(*call) error {
	return func(c *call) error {
		limits, err := limitsOf(c)
		space := isolate.AddressSpace()
		switch {
		case err != nil:
			return err
		case c.child != nil || !c.Bool("isolate") && space == 0:
			return run(c)
		case space > 0 && space < leastAddressSpace:
			return hintf(fmt.Errorf("%w: the address space is limited to %s, and running a model needs %s and the model's size", runtime.ErrMemory, size(space), size(leastAddressSpace)),
				"ulimit -v shows the limit in kB")
		}
		return c.isolate(limits)
	}
}

// limitsOf reads the flags of isolatedFlags. Without --isolate there are no limits.
func limitsOf(c *call) (l isolate.Limits, err error) {
	const mega = 1_000_000
	for _, name := range []string{"load-limit", "run-limit", "memory-limit"} {
		if c.IsSet(name) && !c.Bool("isolate") {
			return l, usagef("--%s needs --isolate", name)
		}
	}
	device, err := deviceOf(c)
	switch {
	case err != nil || !c.Bool("isolate"):
		return l, err
	case c.Duration("load-limit") < 0 || c.Duration("run-limit") < 0 || c.Int("memory-limit") < 0:
		return l, usagef("flags --load-limit, --run-limit, --memory-limit: want 0 or more")
	case c.IsSet("memory-limit") && (!isolate.LimitsMemory || device.CUDA):
		return l, usagef("flag --memory-limit: works only on Linux and on the CPU")
	case c.Int("memory-limit") > 0 && c.Int("memory-limit") < leastAddressSpace/mega:
		return l, usagef("flag --memory-limit: want %d or more, for the program itself, got %d", leastAddressSpace/mega, c.Int("memory-limit"))
	}
	l = isolate.Limits{Load: c.Duration("load-limit"), Run: c.Duration("run-limit"), Memory: int64(c.Int("memory-limit")) * mega}
	if l.Memory == 0 && !device.CUDA { // a GPU's driver reserves more address space than any machine has memory
		l.Memory = isolate.PhysicalMemory()
	}
	return l, nil
}

// isolate runs the command in a child process.
func (c *call) isolate(limits isolate.Limits) error {
	p := processOf(c.App)
	var input string
	if slices.Contains(c.args[min(1, len(c.args)):], "-") { // the child's own standard input has signals
		var err error
		if input, err = c.input(); err != nil {
			return err
		}
	}
	code, err := isolate.Command{Args: p.args, Input: input, Limits: limits, Colour: p.colour, Stdout: c.out.w, Stderr: c.err}.Run(c.ctx)
	var d *isolate.Death
	switch {
	case err == nil && code == 0:
		return nil
	case err == nil:
		return reported(code)
	case !errors.As(err, &d):
		return err
	case d.Memory:
		return hintf(err, "a larger --memory-limit, or ulimit -v, may help")
	case d.Limit > 0 && d.Loading():
		return hintf(refused(err), "large models on slow disks need a larger --load-limit; a graph of many thousand nodes may never load")
	case d.Limit > 0:
		return hintf(refused(err), "large models need a larger --run-limit")
	}
	return hintf(refused(err), "the model makes ONNX Runtime crash: use it only if you trust where it comes from, and try another version of ONNX Runtime")
}

// noteNodes warns about a graph that ONNX Runtime may need very long to load.
func (c *call) noteNodes(o *opened) {
	nodes := 0
	for g := range o.Graph.Graphs() {
		nodes += len(g.Nodes())
	}
	switch {
	case nodes < graph.ManyNodes:
	case c.Bool("isolate"):
		c.note("%d nodes: ONNX Runtime may take long to load the model", nodes)
	default:
		c.note("%d nodes: ONNX Runtime may take long to load the model; --isolate limits the time", nodes)
	}
}
