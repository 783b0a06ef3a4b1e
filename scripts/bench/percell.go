package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// sampled is the number of prompts that represent all 106 when a peer is slow. Their lengths are spread like those of all.
const sampled = 8

// naiveLoop measures P7: the obvious loop over cells, clean and patched, in the same runtime.
func naiveLoop(ctx context.Context, b *bench) ([]row, error) {
	return b.perCell(ctx, "P7", "naive loop in the same runtime / fan-out, per cell", 10, b.rounds, "small", few(sampled), b.naiveSide)
}

// naiveLoopLarge measures P8: the same on GPT-2 large with two prompts, on request.
func naiveLoopLarge(ctx context.Context, b *bench) ([]row, error) {
	if !b.p8 {
		return nil, nil
	}
	return b.perCell(ctx, "P8", "naive loop in the same runtime / fan-out, per cell, large", 5, 2, "large", few(2), b.naiveSide)
}

// paperLoop measures P9a: the paper's loop in TransformerLens.
func paperLoop(ctx context.Context, b *bench) ([]row, error) {
	return b.perCell(ctx, "P9a", "paper's loop in TransformerLens / fan-out, per cell", 50, 2, "small", few(sampled), b.peerSide("TransformerLens", "lens"))
}

// batchedLoop measures P9b: an expert's loop in PyTorch, with all taus of a layer as one batch.
func batchedLoop(ctx context.Context, b *bench) ([]row, error) {
	return b.perCell(ctx, "P9b", "PyTorch, the taus of a layer as a batch / fan-out, per cell", 3.5, 4, "small", few(sampled), b.peerSide("PyTorch", "batched"))
}

// perCell compares a peer with eval on the same prompts, by the time per cell, without the start of either.
func (b *bench) perCell(ctx context.Context, id, what string, goal float64, rounds int, size string, lengths []int, peer func(context.Context, string, []int) (side, error)) ([]row, error) {
	folder, err := b.gpt2(ctx, size)
	if err != nil {
		return nil, err
	}
	data, err := b.data("few.csv", lengths)
	if err != nil {
		return nil, err
	}
	out := b.out("few")
	defer clear(b.out(""))
	other, err := peer(ctx, folder, lengths)
	if err != nil {
		return nil, err
	}
	got, err := compare(rounds, other, side{"fan-out", func() error { return clear(out) }, func() (sample, error) {
		s, e, err := b.evaluate(ctx, folder, data, out)
		if err == nil {
			err = sameLengths(out, lengths)
		}
		s.wall = duration(e.Seconds.Run / float64(max(e.Cells, 1)))
		return s, err
	}})
	if err != nil {
		return nil, err
	}
	return []row{{id: id, what: what, value: ratio(got[0], got[1]), goal: goal, atLeast: true,
		note: fmt.Sprintf("%s / %s; %d prompts, best of %d", seconds(got[0].wall), seconds(got[1].wall), len(lengths), rounds)}}, nil
}

// naiveSide runs [naive] in a separate process.
func (b *bench) naiveSide(_ context.Context, folder string, lengths []int) (side, error) {
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

// peerSide runs a part of peers.py, which measures its own time.
func (b *bench) peerSide(name, what string) func(context.Context, string, []int) (side, error) {
	return func(ctx context.Context, folder string, lengths []int) (side, error) {
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
