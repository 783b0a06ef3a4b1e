package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gofrs/flock"
)

// bench is one run of this program.
type bench struct {
	binary  string // onnx-inject
	cache   string // folder of models, kept between runs
	rounds  int    // minimum number of runs of each side of a comparison
	threads int    // threads of ONNX Runtime
	p4, p8  bool
	swept   *sweep // set after the sweep has run
}

// check measures the rows of one goal.
type check struct {
	id  string
	run func(context.Context, *bench) ([]row, error)
}

// checks are the goals, in the order in which they run; the ids are those of the performance goals.
var checks = []check{
	{"P1", rewriteRef},
	{"P2", againstPython},
	{"P3", rewriteCopy},
	{"P4", againstPythonXL},
	{"P5", injectOff},
	{"P6", exposed},
	{"P7", naiveLoop},
	{"P8", naiveLoopLarge},
	{"P9a", paperLoop},
	{"P9b", batchedLoop},
	{"P10", sweepRate},
	{"P11", sweepOverhead},
	{"P12", sweepLimit},
	{"P13", sessionStart},
	{"P14", interrupted},
	{"P15", inspectXL},
	{"P16", sweepMemory},
	{"P17", lastBlock},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && children[args[0]] != nil {
		return children[args[0]](ctx, args[1:], os.Stdout)
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	var b bench
	fs.StringVar(&b.binary, "binary", "bin/onnx-inject", "the program to measure")
	fs.StringVar(&b.cache, "cache", ".cache/bench", "folder for models, copies and a Python environment")
	fs.IntVar(&b.rounds, "rounds", 6, "number of runs of each side of a comparison, 5 or more")
	fs.IntVar(&b.threads, "threads", 1, "threads of ONNX Runtime; 0 = one for each core, for a machine that is otherwise idle")
	fs.BoolVar(&b.p4, "p4", false, "also measure Python's onnx on a 6.2 GB model")
	fs.BoolVar(&b.p8, "p8", false, "also measure GPT-2 large")
	only := fs.String("only", "", "the goals to measure, such as P1,P15; empty = all")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if b.rounds < 5 {
		return fmt.Errorf("flag -rounds %d: want 5 or more, because the best of fewer is chance", b.rounds)
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return err
	}
	if _, err := os.Stat(b.binary); err != nil {
		return fmt.Errorf("find the program to measure: %w (go build -o bin/onnx-inject ./cmd/onnx-inject)", err)
	}
	if b.cache, err = filepath.Abs(b.cache); err != nil {
		return err
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(b.cache, "lock"))
	if locked, err := lock.TryLock(); err != nil {
		return err
	} else if !locked {
		return fmt.Errorf("another bench is running in %s: the two would disturb each other", b.cache)
	}
	defer lock.Unlock()

	fmt.Printf("%s/%s, %d processors, load %s, best of %d or more\n\n", goruntime.GOOS, goruntime.GOARCH, goruntime.NumCPU(), load(), b.rounds)
	var rows []row
	var failed []error
	for _, c := range chosen {
		fmt.Fprintf(os.Stderr, "bench: %s …\n", c.id)
		got, err := c.run(ctx, &b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", c.id, err))
			continue
		}
		rows = append(rows, got...)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "goal\twhat\tmeasured\tgoal\t\tbest times, peak memory")
	for _, r := range rows {
		fmt.Fprintln(w, r.line())
	}
	w.Flush()
	fmt.Printf("\nload at the end %s\n", load())
	left := func(id string) bool { return slices.ContainsFunc(chosen, func(c check) bool { return c.id == id }) }
	if !b.p4 && left("P4") {
		fmt.Println("P4 (Python's onnx on 6.2 GB) is measured only with -p4: it needs 19 GB of disk and 8 GB of memory")
	}
	if !b.p8 && left("P8") {
		fmt.Println("P8 (GPT-2 large) is measured only with -p8: it needs 7 GB of disk, 14 GB of memory and some minutes")
	}
	return errors.Join(failed...)
}

func choose(only string) ([]check, error) {
	if only == "" {
		return checks, nil
	}
	var chosen []check
	for _, id := range strings.Split(only, ",") {
		i := slices.IndexFunc(checks, func(c check) bool { return strings.EqualFold(c.id, id) })
		if i < 0 {
			return nil, fmt.Errorf("flag -only: %q is not measured here", id)
		}
		chosen = append(chosen, checks[i])
	}
	return chosen, nil
}
