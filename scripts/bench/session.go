package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
)

// tokens is the length of the prompt in measured runs: the median of the paper's prompts, rounded up.
const tokens = 14

// session is the child process that runs ONNX Runtime. It opens each model, runs the models in turn (A B C C B A) for rounds
// rounds and prints a JSON list with one [timing] per model:
//
//	bench session ROUNDS THREADS MODEL…
//
// Each model gets one prompt and an empty cache; memories and taus are 0, without effect.
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
		if rounds == 0 {
			continue
		}
		feeds, err := promptFor(ctx, path, s)
		if err != nil {
			return err
		}
		sides[i] = side{path, nil, func() (sample, error) {
			start, before := time.Now(), worked()
			_, err := s.Run(ctx, feeds)
			return sample{wall: time.Since(start), cpu: worked() - before}, err
		}}
		if _, err := sides[i].run(); err != nil { // the first run plans memory
			return err
		}
	}
	if rounds == 0 {
		return json.NewEncoder(out).Encode(result)
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

// promptFor returns the feeds of a prompt for a session that was opened on a file.
func promptFor(ctx context.Context, path string, s runtime.Session) (map[string]*graph.Tensor, error) {
	m, err := decoder.Open(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	l, err := m.Locate(ctx)
	if err != nil {
		return nil, err
	}
	in, err := inputs.Read(m.Graph, l)
	if err != nil {
		return nil, err
	}
	return (&patched{Session: &decoder.Session{Session: s, Layout: l, Signature: in}}).feeds(tokens, 1)
}

// timing is the measurement of one model.
type timing struct {
	Open time.Duration // time to create the session
	Run  time.Duration // best run, every output fetched; 0 without rounds
	CPU  time.Duration // least processor time of a run; threads that wait for work also count, so it is exact only for one thread
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
