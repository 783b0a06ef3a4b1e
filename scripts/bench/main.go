package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	chosen  []check
	asked   map[string]*bool // checks that are measured on request, by id
	swept   *sweep           // set after the sweep has run
}

// check measures the rows of one goal.
type check struct {
	id    string
	run   func(context.Context, *bench) ([]row, error)
	costs string // what it needs, if it is measured only on request
}

// checks are the goals, in the order in which they run; the ids are those of the performance goals, with a suffix for another
// family than GPT-2.
var checks = []check{
	{"P1", rewriteRef, ""},
	{"P1-genai", rewriteGenAI, ""},
	{"P2", againstPython, ""},
	{"P3", rewriteCopy, ""},
	{"P4", againstPythonXL, "Python's onnx on 6.2 GB: 19 GB of disk, 8 GB of memory and several minutes"},
	{"P5", injectOff, ""},
	{"P5-llama", injectOffLlama, ""},
	{"P6", exposed, ""},
	perCell{"P7", "naive loop in the same runtime / fan-out, per cell", 10, gpt2Small, 8, 0, naiveLoop, nil}.check(""),
	perCell{"P7-llama", "naive loop in the same runtime / fan-out, per cell, SmolLM2's size", 10, smolLM2, 4, 0, naiveLoop, nil}.check(""),
	perCell{"P8", "naive loop in the same runtime / fan-out, per cell, large", 5, gpt2Large, 2, 2, naiveLoop, nil}.
		check("GPT-2 large: 7 GB of disk, 14 GB of memory and several minutes"),
	perCell{"P9a", "paper's loop in TransformerLens / fan-out, per cell", 50, gpt2Small, 8, 2, peerLoop("TransformerLens", "lens"), nil}.check(""),
	perCell{"P9b", "PyTorch, the taus of a layer as a batch / fan-out, per cell", 3.5, gpt2Small, 8, 4, peerLoop("PyTorch", "batched"), nil}.check(""),
	perCell{"P9b-llama", "PyTorch, the taus of a layer as a batch / fan-out, per cell, SmolLM2's size", 3.5, smolLM2, 4, 4, peerLoop("PyTorch", "batched"), nil}.check(""),
	{"P10", sweepRate, ""},
	{"P11", sweepOverhead, ""},
	{"P12", sweepLimit, ""},
	{"P13", sessionStart, ""},
	{"P14", interrupted, ""},
	{"P15", inspectXL, ""},
	{"P16", sweepMemory, ""},
	{"P17", lastBlock, ""},
	{"P18", isolated, ""},
	{"P19a", captureLens, ""},
	{"P19b", captureLoop, ""},
	{"P20", generateOptimum, ""},
	{"P21", generateGenAI, ""},
	{"P22", gatesOff, ""},
	{"P23", lastPosition, ""},
	perCell{"P24", "PyTorch, the taus of a layer as a batch with a cached prefix / fan-out, last position, per cell, SmolLM2's size", 3, smolLM2, 4, 4,
		peerLoop("PyTorch", "cached"), []string{"--positions", "last"}}.check(""),
	{"P25", intervened, ""},
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
	b, err := parse(args)
	if err != nil {
		return err
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Printf("%s/%s, %d processors, load %s, best of %d or more\n\n", goruntime.GOOS, goruntime.GOARCH, goruntime.NumCPU(), load(), b.rounds)
	rows, failed := b.measure(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.print(os.Stdout, rows)
	return failed
}

// parse reads the flags.
func parse(args []string) (*bench, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	b := &bench{asked: map[string]*bool{}}
	fs.StringVar(&b.binary, "binary", "bin/onnx-inject", "the program to measure")
	fs.StringVar(&b.cache, "cache", ".cache/bench", "folder for models, copies and a Python environment")
	fs.IntVar(&b.rounds, "rounds", 6, "number of runs of each side of a comparison, 5 or more")
	fs.IntVar(&b.threads, "threads", 1, "threads of ONNX Runtime; 0 = one for each core, for a machine that is otherwise idle")
	for _, c := range checks {
		if c.costs != "" {
			b.asked[c.id] = fs.Bool(strings.ToLower(c.id), false, "also measure "+c.costs)
		}
	}
	only := fs.String("only", "", "the goals to measure, such as P1,P15; empty = all")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if b.rounds < 5 {
		return nil, fmt.Errorf("flag -rounds %d: want 5 or more, because the best of fewer is chance", b.rounds)
	}
	var err error
	if b.chosen, err = choose(*only); err != nil {
		return nil, err
	}
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return nil, err
	}
	if _, err := os.Stat(b.binary); err != nil {
		return nil, fmt.Errorf("find the program to measure: %w (go build -o bin/onnx-inject ./cmd/onnx-inject)", err)
	}
	b.cache, err = filepath.Abs(b.cache)
	return b, err
}

// lock takes the cache folder for this run.
func (b *bench) lock() (unlock func() error, err error) {
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(b.cache, "lock"))
	if locked, err := lock.TryLock(); err != nil {
		return nil, err
	} else if !locked {
		return nil, fmt.Errorf("another bench is running in %s: the two would disturb each other", b.cache)
	}
	return lock.Unlock, nil
}

// left reports whether a check was not asked for.
func (b *bench) left(c check) bool { return c.costs != "" && !*b.asked[c.id] }

// measure runs the chosen checks. One that fails does not keep the others from running.
func (b *bench) measure(ctx context.Context) (rows []row, failed error) {
	for _, c := range b.chosen {
		if b.left(c) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", c.id)
		got, err := c.run(ctx, b)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", c.id, err))
			continue
		}
		rows = append(rows, got...)
	}
	return rows, failed
}

// print writes the table, and what is not in it.
func (b *bench) print(out io.Writer, rows []row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "goal\twhat\tmeasured\tgoal\t\tbest times, peak memory")
	for _, r := range rows {
		fmt.Fprintln(w, r.line())
	}
	w.Flush()
	fmt.Fprintf(out, "\nload at the end %s\n", load())
	for _, c := range b.chosen {
		if b.left(c) {
			fmt.Fprintf(out, "%s is measured only with -%s: %s\n", c.id, strings.ToLower(c.id), c.costs)
		}
	}
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
