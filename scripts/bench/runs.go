package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// runRounds is the number of runs of each model in the child for every round of the table. A run takes 30 ms, and quiet moments
// of a shared machine are short.
const runRounds = 20

// injectOff measures P5: with every tau at 0, a patched model costs as much as the original.
func injectOff(ctx context.Context, b *bench) ([]row, error) {
	small, err := b.small(ctx)
	if err != nil {
		return nil, err
	}
	return b.injectOff(ctx, "P5", small)
}

// injectOffLlama measures the same on a Llama.
func injectOffLlama(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, smolLM2)
	if err != nil {
		return nil, err
	}
	return b.injectOff(ctx, "P5-llama", filepath.Join(folder, "model.onnx"))
}

func (b *bench) injectOff(ctx context.Context, id, model string) ([]row, error) {
	t, err := b.patched(ctx, model, []string{"--inject", "all"})
	if err != nil {
		return nil, err
	}
	return []row{overClean(id, "patched with tau = 0 / clean, 14 tokens", t[1], t[0], 1.05)}, nil
}

// exposed measures P6: the cost of additional outputs, all of them fetched.
func exposed(ctx context.Context, b *bench) ([]row, error) {
	small, err := b.small(ctx)
	if err != nil {
		return nil, err
	}
	t, err := b.patched(ctx, small, []string{"--expose", "result"}, []string{"--expose", "attn_out"})
	if err != nil {
		return nil, err
	}
	return []row{
		overClean("P6", "all per-head results / clean, 14 tokens", t[1], t[0], 1.2),
		overClean("P6", "all attention outputs / clean, 14 tokens", t[2], t[0], 1.05),
	}, nil
}

func overClean(id, what string, patched, clean timing, goal float64) row {
	return row{id: id, what: what, value: float64(patched.Run) / float64(clean.Run), goal: goal,
		note: fmt.Sprintf("%s / %s (CPU %s / %s)", seconds(patched.Run), seconds(clean.Run), seconds(patched.CPU), seconds(clean.CPU))}
}

// patched rewrites a model once for each set of flags and runs the original and the rewritten files in turn, in one process.
func (b *bench) patched(ctx context.Context, model string, flags ...[]string) ([]timing, error) {
	defer clear(beside(model, ""))
	files := []string{model}
	for i, f := range flags {
		out := beside(model, fmt.Sprintf("run%d.onnx", i))
		if err := clear(out); err != nil {
			return nil, err
		}
		if _, err := b.rewrite(ctx, model, out, append(f, "--weights", "ref")...); err != nil {
			return nil, err
		}
		files = append(files, out)
	}
	t, _, err := b.child(ctx, runRounds*b.rounds, files...)
	return t, err
}

// sessionStart measures P13: a file that refers to the original opens faster and with less memory than one with its own weights.
func sessionStart(ctx context.Context, b *bench) ([]row, error) {
	small, err := b.small(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(b.out(""))
	var sides []side
	for _, weights := range []string{"ref", "embed"} {
		out := b.out(weights + ".onnx")
		if err := clear(out); err != nil {
			return nil, err
		}
		if _, err := b.rewrite(ctx, small, out, patch(weights)...); err != nil {
			return nil, err
		}
		sides = append(sides, side{"open " + weights, nil, func() (sample, error) {
			t, s, err := b.child(ctx, 0, out)
			if err != nil {
				return s, err
			}
			s.wall = t[0].Open
			return s, nil
		}})
	}
	got, err := compare(b.rounds, sides...)
	if err != nil {
		return nil, err
	}
	return []row{
		{id: "P13", what: "open ref / open embed, time", value: ratio(got[0], got[1]), goal: 0.7, note: times(got)},
		{id: "P13", what: "open ref / open embed, peak memory", value: float64(got[0].peak) / float64(got[1].peak), goal: 0.75,
			note: fmt.Sprintf("%.0f MB / %.0f MB", megabytes(got[0].peak), megabytes(got[1].peak))},
	}, nil
}
