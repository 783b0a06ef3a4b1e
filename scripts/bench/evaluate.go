package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// evaluated is the used part of the output of eval --json.
type evaluated struct {
	Cells   int `json:"cells"`
	Resumed int `json:"resumed"`
	Plan    struct {
		Used string `json:"used"`
	} `json:"plan"`
	Seconds struct {
		Load  float64 `json:"load"`
		Run   float64 `json:"run"`
		Total float64 `json:"total"`
	} `json:"seconds"`
}

// evalArgs are the arguments of eval: all layers, taus 1 to 15.
func (b *bench) evalArgs(model, data, out, plan string) []string {
	return []string{"eval", model, "--data", data, "-o", out, "--plan", plan, "--threads", strconv.Itoa(b.threads), "--json"}
}

// evaluate runs eval by a plan.
func (b *bench) evaluate(ctx context.Context, model, data, out, plan string, flags ...string) (sample, evaluated, error) {
	var e evaluated
	s, stdout, err := process(ctx, b.binary, append(b.evalArgs(model, data, out, plan), flags...)...)
	if err == nil {
		err = json.Unmarshal(stdout, &e)
	}
	if err == nil && e.Plan.Used != plan {
		err = fmt.Errorf("eval used plan %q", e.Plan.Used)
	}
	return s, e, err
}

// Models that transformers makes and optimum exports: folders of the cache. TransformerLens accepts the name gpt2 only.
const (
	gpt2Small = "small/gpt2"
	gpt2Large = "large/gpt2"
	smolLM2   = "smollm2/llama" // a Llama of SmolLM2-135M's size
)

// exported returns the folder of one of these models, created on first use: model.onnx, the tokenizer, and the checkpoint for
// the peers.
func (b *bench) exported(ctx context.Context, name string) (string, error) {
	folder := filepath.Join(b.cache, name)
	if _, err := os.Stat(filepath.Join(folder, "model.onnx")); err == nil {
		return folder, nil
	}
	python, err := b.peerPython(ctx)
	if err != nil {
		return "", err
	}
	_, _, err = process(ctx, python, "scripts/bench/peers.py", "build", filepath.Dir(folder), name)
	return folder, err
}

// peerPython returns the Python of scripts/parity, because the peers need the same packages.
func (b *bench) peerPython(ctx context.Context) (string, error) {
	if python := os.Getenv("BENCH_PYTHON"); python != "" {
		return python, nil
	}
	_, out, err := process(ctx, "scripts/venv.sh", "parity")
	return strings.TrimSpace(string(out)), err
}

// duration converts seconds to a duration.
func duration(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
