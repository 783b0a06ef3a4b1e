package main

import (
	"context"
	"fmt"
)

// inspectXL measures P15: a model of 6.2 GB is described without reading its weights.
func inspectXL(ctx context.Context, b *bench) ([]row, error) {
	xl, err := b.xl(ctx)
	if err != nil {
		return nil, err
	}
	got, err := compare(b.rounds,
		side{"inspect", nil, func() (sample, error) {
			s, _, err := process(ctx, b.binary, "inspect", xl)
			return s, err
		}},
		b.start(ctx))
	if err != nil {
		return nil, err
	}
	return []row{
		{id: "P15", what: "inspect, 6.2 GB", value: float64(got[0].wall) / 1e6, unit: " ms", goal: 50, note: "CPU " + seconds(got[0].cpu) + startNote(got[1])},
		{id: "P15", what: "inspect, 6.2 GB, peak memory", value: megabytes(got[0].peak), unit: " MB", goal: 32, note: fmt.Sprintf("%.0f MB of that is the program itself", megabytes(got[1].peak))},
	}, nil
}

// start runs the program with almost no work: the cost of every command before it reads a model.
func (b *bench) start(ctx context.Context) side {
	return side{"start", nil, func() (sample, error) {
		s, _, err := process(ctx, b.binary, "version")
		return s, err
	}}
}

func startNote(s sample) string {
	return fmt.Sprintf("; start alone %s, CPU %s", seconds(s.wall), seconds(s.cpu))
}
