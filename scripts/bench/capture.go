package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// captured is the used part of the output of capture --json.
type captured struct {
	Prompts int `json:"prompts"`
	Batch   struct {
		Prompts int `json:"prompts"`
	} `json:"batch"`
	Seconds struct {
		Load  float64 `json:"load"`
		Total float64 `json:"total"`
	} `json:"seconds"`
}

// captureLens measures P19a: TransformerLens keeps the same values.
func captureLens(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, gpt2Small)
	if err != nil {
		return nil, err
	}
	peer, err := peerLoop("TransformerLens", "cache")(ctx, b, folder, lengths)
	if err != nil {
		return nil, err
	}
	return b.captures(ctx, "P19a", "run_with_cache of TransformerLens / capture, residual streams, per prompt", 3, folder, peer)
}

// captureLoop measures P19b: a loop in Python's ONNX Runtime over a patched file gives the same values. The file has no cache, which
// costs the loop nothing.
func captureLoop(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, gpt2Small)
	if err != nil {
		return nil, err
	}
	model := filepath.Join(folder, "model.onnx")
	patched := beside(model, "capture.onnx")
	if err := clear(patched); err != nil {
		return nil, err
	}
	defer clear(patched)
	if _, err := b.rewrite(ctx, model, patched, "--expose", "resid_post", "--prefill", "--weights", "ref"); err != nil {
		return nil, err
	}
	peer, err := peerLoop("Python loop", "loop")(ctx, b, patched, lengths)
	if err != nil {
		return nil, err
	}
	return b.captures(ctx, "P19b", "Python loop over the patched file / capture, residual streams, per prompt", 1.2, folder, peer)
}

// captures compares a peer with capture on the prompts of the paper's lengths.
func (b *bench) captures(ctx context.Context, id, what string, goal float64, folder string, peer side) ([]row, error) {
	data, err := b.data("capture.csv", lengths)
	if err != nil {
		return nil, err
	}
	out := b.out("capture")
	defer clear(b.out(""))
	batch := 0
	got, err := compare(b.rounds, peer, side{"capture", func() error { return clear(out) }, func() (sample, error) {
		var c captured
		s, stdout, err := process(ctx, b.binary, "capture", folder, "--data", data, "--expose", "resid_post", "--threads", fmt.Sprint(b.threads), "-o", out, "--json")
		if err == nil {
			err = json.Unmarshal(stdout, &c)
		}
		if err == nil && c.Prompts != len(lengths) {
			err = fmt.Errorf("capture: %d prompts, want %d", c.Prompts, len(lengths))
		}
		s.wall, batch = duration((c.Seconds.Total-c.Seconds.Load)/float64(max(c.Prompts, 1))), c.Batch.Prompts
		return s, err
	}})
	if err != nil {
		return nil, err
	}
	return []row{{id: id, what: what, value: ratio(got[0], got[1]), goal: goal, atLeast: true,
		note: fmt.Sprintf("%s / %s; %d prompts, batches of up to %d, best of %d", seconds(got[0].wall), seconds(got[1].wall), len(lengths), batch, b.rounds)}}, nil
}
