package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/generate"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
)

// generated is the number of new tokens of a measured text.
const generated = 128

// generateOptimum measures P20: new tokens, compared with optimum on its own file.
func generateOptimum(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, smolLM2)
	if err != nil {
		return nil, err
	}
	return b.againstGenerator(ctx, "P20", "optimum", folder, 1.1)
}

// generateGenAI measures P21: the same with onnxruntime-genai, in float32 and in int4.
func generateGenAI(ctx context.Context, b *bench) ([]row, error) {
	var rows []row
	for precision, goal := range map[string]float64{"fp32": 1.1, "int4": 1.0} {
		folder, err := b.built(ctx, precision)
		if err != nil {
			return nil, err
		}
		got, err := b.againstGenerator(ctx, "P21-"+precision, "genai", folder, goal)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// gatesOff measures P22: a step of a model whose ports are all present and off, compared with a step of the model itself.
func gatesOff(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, smolLM2)
	if err != nil {
		return nil, err
	}
	got, err := compare(b.rounds, b.generates(portsOff, folder), b.generates(unchanged, folder))
	if err != nil {
		return nil, err
	}
	return []row{{id: "P22", what: "a token with all ports present and off / without, SmolLM2's size", value: ratio(got[0], got[1]), goal: 1.03, note: times(got)}}, nil
}

// intervened measures P25: what an intervention costs in time and memory.
func intervened(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, smolLM2)
	if err != nil {
		return nil, err
	}
	got, err := compare(b.rounds, b.generates(added, folder), b.generates(unchanged, folder))
	if err != nil {
		return nil, err
	}
	return []row{
		{id: "P25", what: "a token with a vector added to one residual stream / without, SmolLM2's size", value: ratio(got[0], got[1]), goal: 1.03, note: times(got)},
		{id: "P25", what: "its peak memory / without", value: float64(got[0].peak) / float64(got[1].peak), goal: 1.03,
			note: fmt.Sprintf("%.0f / %.0f MB", megabytes(got[0].peak), megabytes(got[1].peak))},
	}, nil
}

// built returns the folder of the model that the builder of onnxruntime-genai makes of SmolLM2's checkpoint.
func (b *bench) built(ctx context.Context, precision string) (string, error) {
	folder := filepath.Join(b.cache, "smollm2", "genai-"+precision)
	if _, err := os.Stat(filepath.Join(folder, "genai_config.json")); err == nil {
		return folder, nil
	}
	from, err := b.exported(ctx, smolLM2)
	if err != nil {
		return "", err
	}
	python, err := b.peerPython(ctx)
	if err != nil {
		return "", err
	}
	half := folder + ".half"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	if _, _, err := process(ctx, python, "scripts/bench/generation.py", "build", filepath.Join(from, "checkpoint"), half, precision); err != nil {
		return "", err
	}
	return folder, os.Rename(half, folder)
}

// againstGenerator compares the time of a token with that of another program, and the size of the files over that time with the rate
// of reading them in memory. A token does not read a separate table of embeddings, which the size includes.
func (b *bench) againstGenerator(ctx context.Context, id, peer, folder string, goal float64) ([]row, error) {
	python, err := b.peerPython(ctx)
	if err != nil {
		return nil, err
	}
	prompt, err := json.Marshal(ids(tokens, 1000))
	if err != nil {
		return nil, err
	}
	theirs := side{peer, nil, func() (sample, error) {
		cmd := exec.CommandContext(ctx, python, "scripts/bench/generation.py", peer, folder, strconv.Itoa(b.threads), strconv.Itoa(generated))
		cmd.Stdin = bytes.NewReader(prompt)
		s, out, err := measured(cmd)
		if err != nil {
			return s, err
		}
		took, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		s.wall = duration(took)
		return s, err
	}}
	got, err := compare(b.rounds, theirs, b.generates(unchanged, folder))
	if err != nil {
		return nil, err
	}
	weights, read, err := readRate(folder)
	if err != nil {
		return nil, err
	}
	rate := func(s sample) float64 { return 1 / s.wall.Seconds() }
	return []row{
		{id: id, what: "tokens per second, generate / " + peer, value: ratio(got[0], got[1]), goal: goal, atLeast: true,
			note: fmt.Sprintf("%.1f / %.1f tokens per second", rate(got[1]), rate(got[0]))},
		{id: id, what: "bytes of the file per second of a token / a plain read of it in memory, one thread", value: float64(weights) / got[1].wall.Seconds() / read, goal: 0.5, atLeast: true,
			note: fmt.Sprintf("%.0f MB per token, %.1f / %.1f GB/s", megabytes(weights), float64(weights)/got[1].wall.Seconds()/1e9, read/1e9)},
	}, nil
}

// What generates does to the model.
const (
	unchanged = "unchanged"
	portsOff  = "ports off" // every site of every layer has all its ports, which are off
	added     = "added"     // a vector is added to one residual stream, at every position
)

// generates is a child process that generates; its time is that of one token.
func (b *bench) generates(how, folder string) side {
	return side{how, nil, func() (sample, error) {
		var took float64
		s, err := b.run(context.Background(), &took, "generate", strconv.Itoa(b.threads), folder, how)
		s.wall = duration(took)
		return s, err
	}}
}

// generateTokens generates a text with the most likely tokens, and prints the seconds per token, the prompt included:
//
//	bench generate THREADS FOLDER HOW
func generateTokens(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("generate %q: want a number of threads, a model folder, and what is done to the model", args)
	}
	threads, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("generate: threads %q: want a number", args[0])
	}
	d, err := decoder.Open(args[1])
	if err != nil {
		return err
	}
	defer d.Close()
	l, err := d.Locate(ctx)
	if err != nil {
		return err
	}
	var req rewrite.Request
	var plan intervention.Plan
	switch args[2] {
	default:
		return fmt.Errorf("generate: %q: want %q, %q or %q", args[2], unchanged, portsOff, added)
	case unchanged:
	case portsOff:
		for _, site := range models.Sites() {
			x := rewrite.Inject{Site: site}
			for i, layer := range l.Bodies[0].Layers {
				if site.Intervention().Missing(layer) == "" {
					x.Layers = append(x.Layers, i)
				}
			}
			req.Inject, req.Gate = append(req.Inject, x), append(req.Gate, x)
		}
	case added:
		layer, vector := intervention.EntityLayer(l.Layers), make([]float32, l.DModel)
		for i := range vector {
			vector[i] = float32(i%7-3) / 8
		}
		req.Inject = []rewrite.Inject{{Site: models.PortResidPost, Layers: []int{layer}}}
		plan = intervention.Plan{{Site: models.PortResidPost, Layer: layer, Keep: 1, Tau: 1, Vector: vector}}
	}
	m, err := generate.Open(ctx, ort.Host{}, d, runtime.Options{Threads: threads}, req)
	if err != nil {
		return err
	}
	defer m.Close()
	text := func(n int) (time.Duration, error) {
		c, err := m.Continue(ctx, generate.Request{Prompt: ids(tokens, 1000), Max: n, Plan: plan})
		if err != nil {
			return 0, err
		}
		if len(c.IDs) != n {
			return 0, fmt.Errorf("generate: %d tokens, want %d", len(c.IDs), n)
		}
		return c.Took, nil
	}
	if _, err := text(4); err != nil { // the first run plans memory
		return err
	}
	best := time.Duration(math.MaxInt64)
	for range 2 {
		took, err := text(generated)
		if err != nil {
			return err
		}
		best = min(best, took)
	}
	return json.NewEncoder(out).Encode(best.Seconds() / generated)
}

// readRate returns the size of a model's files and how many of their bytes one thread reads in a second, when they are in memory.
func readRate(folder string) (size int64, rate float64, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "model.onnx*"))
	if err != nil {
		return 0, 0, err
	}
	var data []byte
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return 0, 0, err
		}
		data = append(data, b...)
	}
	best := time.Duration(math.MaxInt64)
	for range 5 {
		start := time.Now()
		sum := byte(0)
		for at := data; len(at) >= 64; at = at[64:] { // one byte of each line of the processor's cache
			sum ^= at[0]
		}
		if sum == 1 && len(data) == 0 { // the loop must not be removed
			return 0, 0, fmt.Errorf("%s: no model files", folder)
		}
		best = min(best, time.Since(start))
	}
	return int64(len(data)), float64(len(data)) / best.Seconds(), nil
}
