package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// perCell is a row that compares a peer with eval on the same prompts, by the time per cell, without the start of either.
type perCell struct {
	id, what string
	goal     float64
	model    string // see [bench.exported]
	prompts  int    // number of prompts that represent all 106: their lengths are spread like those of all
	rounds   int    // 0 for the number that the user gives; a slow peer runs less often
	peer     func(ctx context.Context, b *bench, folder string, lengths []int) (side, error)
	flags    []string // of eval
}

// check is the check of this row; costs is that of [check].
func (c perCell) check(costs string) check { return check{c.id, c.measure, costs} }

func (c perCell) measure(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, c.model)
	if err != nil {
		return nil, err
	}
	lengths, rounds := few(c.prompts), cmp.Or(c.rounds, b.rounds)
	data, err := b.data("few.csv", lengths)
	if err != nil {
		return nil, err
	}
	out := b.out("few")
	defer clear(b.out(""))
	other, err := c.peer(ctx, b, folder, lengths)
	if err != nil {
		return nil, err
	}
	got, err := compare(rounds, other, side{"fan-out", func() error { return clear(out) }, func() (sample, error) {
		s, e, err := b.evaluate(ctx, folder, data, out, "fanout", c.flags...)
		if err == nil {
			err = sameLengths(ctx, out, lengths)
		}
		s.wall = duration(e.Seconds.Run / float64(max(e.Cells, 1)))
		return s, err
	}})
	if err != nil {
		return nil, err
	}
	return []row{{id: c.id, what: c.what, value: ratio(got[0], got[1]), goal: c.goal, atLeast: true,
		note: fmt.Sprintf("%s / %s; %d prompts, best of %d", seconds(got[0].wall), seconds(got[1].wall), len(lengths), rounds)}}, nil
}

// naiveLoop is the obvious loop over cells, clean and patched, in the same runtime: [naive] in a separate process.
func naiveLoop(_ context.Context, b *bench, folder string, lengths []int) (side, error) {
	args := []string{"naive", strconv.Itoa(b.threads), folder}
	for _, n := range lengths {
		args = append(args, strconv.Itoa(n))
	}
	return side{"naive loop", nil, func() (sample, error) {
		var took float64
		s, err := b.run(context.Background(), &took, args...)
		s.wall = duration(took)
		return s, err
	}}, nil
}

// peerLoop is a loop of peers.py, which measures its own time.
func peerLoop(name, what string) func(context.Context, *bench, string, []int) (side, error) {
	return func(ctx context.Context, b *bench, folder string, lengths []int) (side, error) {
		python, err := b.peerPython(ctx)
		if err != nil {
			return side{}, err
		}
		prompts, err := json.Marshal(promptsOf(lengths))
		if err != nil {
			return side{}, err
		}
		return side{name, nil, func() (sample, error) {
			cmd := exec.CommandContext(ctx, python, "scripts/bench/peers.py", what, folder, strconv.Itoa(b.threads))
			cmd.Stdin, cmd.Env = bytes.NewReader(prompts), os.Environ()
			s, out, err := measured(cmd)
			if err != nil {
				return s, err
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n") // TransformerLens prints its own line
			took, err := strconv.ParseFloat(lines[len(lines)-1], 64)
			s.wall = duration(took)
			return s, err
		}}, nil
	}
}
