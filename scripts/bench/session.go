package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
)

// tokens is the length of the prompt in measured runs: the median of the paper's prompts, rounded up.
const tokens = 14

// vocab is the upper bound of the token ids in feeds.
const vocab = 50257

// session is the child process that runs ONNX Runtime. It opens each model, runs the models in turn (A B C C B A) for rounds
// rounds and prints a JSON list with one [timing] per model:
//
//	bench session ROUNDS THREADS MODEL…
//
// Every input except input_ids gets zeros: memories and taus without effect.
func session(ctx context.Context, args []string, out io.Writer) error {
	if len(args) < 3 {
		return fmt.Errorf("session %q: want numbers of rounds and threads, and models", args)
	}
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("session: rounds %q: want a number", args[0])
	}
	threads, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("session: threads %q: want a number", args[1])
	}
	paths := args[2:]
	result := make([]timing, len(paths))
	sides := make([]side, len(paths))
	for i, path := range paths {
		start := time.Now()
		s, err := ort.Host{}.Open(ctx, runtime.Model{Path: path}, runtime.Options{Threads: threads})
		if err != nil {
			return err
		}
		defer s.Close()
		result[i].Open = time.Since(start)
		feeds := off(s.Inputs())
		sides[i] = side{path, nil, func() (sample, error) {
			start, before := time.Now(), worked()
			_, err := s.Run(ctx, feeds)
			return sample{wall: time.Since(start), cpu: worked() - before}, err
		}}
		if rounds > 0 {
			if _, err := sides[i].run(); err != nil { // the first run plans memory
				return err
			}
		}
	}
	best, err := compare(rounds, sides...)
	if err != nil {
		return err
	}
	for i := range best {
		result[i].Run, result[i].CPU = best[i].wall, best[i].cpu
	}
	return json.NewEncoder(out).Encode(result)
}

// timing is the measurement of one model.
type timing struct {
	Open time.Duration // time to create the session
	Run  time.Duration // best run, every output fetched; 0 without rounds
	CPU  time.Duration // least processor time of a run; threads that wait for work also count, so it is exact only for one thread
}

// off returns the inputs for one prompt: token ids that differ, and zeros for everything else, with 1 for every open dimension.
func off(ports []runtime.Port) map[string]*graph.Tensor {
	in := map[string]*graph.Tensor{}
	for _, p := range ports {
		if p.Name == "input_ids" {
			in[p.Name] = graph.NewInt64(ids(tokens, vocab), 1, tokens)
			continue
		}
		dims := make([]int64, len(p.Dims))
		for i, d := range p.Dims {
			dims[i] = max(d, 1)
		}
		in[p.Name] = graph.Zeros(p.DType, dims...)
	}
	return in
}

// ids returns n tokens of a vocabulary, almost all different.
func ids(n, vocab int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i) * 2654435761 % int64(vocab)
	}
	return out
}

// child runs [session] in a separate process.
func (b *bench) child(ctx context.Context, rounds int, models ...string) ([]timing, sample, error) {
	var got []timing
	s, err := b.run(ctx, &got, append([]string{"session", strconv.Itoa(rounds), strconv.Itoa(b.threads)}, models...)...)
	return got, s, err
}
