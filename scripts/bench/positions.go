package main

import (
	"context"
	"fmt"
)

// lastPosition measures P23: a cell that changes only the last position, where all cells share the keys and values of the positions
// before it, relative to a cell that changes all positions.
func lastPosition(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, smolLM2)
	if err != nil {
		return nil, err
	}
	lengths := few(4)
	data, err := b.data("few.csv", lengths)
	if err != nil {
		return nil, err
	}
	out := b.out("few")
	defer clear(b.out(""))
	at := func(positions string) side {
		return side{positions, func() error { return clear(out) }, func() (sample, error) {
			s, e, err := b.evaluate(ctx, folder, data, out, "fanout", "--positions", positions)
			if err == nil {
				err = sameLengths(ctx, out, lengths)
			}
			s.wall = duration(e.Seconds.Run / float64(max(e.Cells, 1)))
			return s, err
		}}
	}
	got, err := compare(b.rounds, at("last"), at("all"))
	if err != nil {
		return nil, err
	}
	return []row{{id: "P23", what: "a cell at the last position / one at all positions, SmolLM2's size", value: ratio(got[0], got[1]), goal: 0.15,
		note: fmt.Sprintf("%s / %s; prompts of %d to %d tokens", seconds(got[0].wall), seconds(got[1].wall), lengths[0], lengths[len(lengths)-1])}}, nil
}
