package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"

	"github.com/onnx-inject/onnx-inject/models/demo"
)

// isolated measures P18: the cost of running the model in a child process with limits, on the smallest model there is, where it is
// largest. Both ways must print the same bytes.
func isolated(ctx context.Context, b *bench) ([]row, error) {
	world := b.out("world")
	if err := os.MkdirAll(world, 0o755); err != nil {
		return nil, err
	}
	defer clear(world)
	if err := demo.WriteTo(world); err != nil {
		return nil, err
	}
	outputs := make([][]byte, 2)
	run := func(i int, more ...string) func() (sample, error) {
		return func() (sample, error) {
			args := append([]string{"run", world, "--prompt", "People in the land of Machu Picchu speak", "--memory", " Peru", "--threads", strconv.Itoa(b.threads)}, more...)
			s, out, err := process(ctx, b.binary, args...)
			outputs[i] = out
			return s, err
		}
	}
	got, err := compare(5*b.rounds, side{"isolated", nil, run(0, "--isolate")}, side{"direct", nil, run(1)})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(outputs[0], outputs[1]) {
		return nil, errors.New("run --isolate prints other results")
	}
	return []row{{id: "P18", what: "run --isolate / run, demo model", value: ratio(got[0], got[1]), goal: 1.25, note: times(got)}}, nil
}
