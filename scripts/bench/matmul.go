package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
)

// The yardstick has the size of the largest product of a grid: 181 rows of 14 tokens through GPT-2 small's MLP.
const yardRows, yardIn, yardOut = 2534, 768, 3072

// matmul is the yardstick of P10 and P12: a single matrix product in ONNX Runtime. It prints the operations per second.
//
//	bench matmul ROUNDS THREADS
func matmul(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("matmul %q: want numbers of rounds and threads", args)
	}
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("matmul: rounds %q: want a number", args[0])
	}
	threads, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("matmul: threads %q: want a number", args[1])
	}
	m, err := graph.Parse(fmt.Sprintf("ir 8\nopset 17\ngraph main {\n in x: float32[%d, %d]\n in w: float32[%[2]d, %[3]d]\n y = MatMul(x, w)\n out y: float32[%[1]d, %[3]d]\n}", yardRows, yardIn, yardOut))
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 2))
	random := func(rows, columns int64) *graph.Tensor {
		v := make([]float32, rows*columns)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return graph.NewFloat32(v, rows, columns)
	}
	w := m.Graph.Inputs()[1] // a weight, as in a model, so that it is packed once
	e := m.Edit()
	e.Redirect(w.Uses()[0], e.Const(m.Graph, "weight", random(yardIn, yardOut)))
	e.RemoveInput(w)
	if err := e.Commit(); err != nil {
		return err
	}
	s, err := runtime.OpenGraph(ctx, ort.Host{}, m, runtime.Options{Threads: threads})
	if err != nil {
		return err
	}
	defer s.Close()
	in := map[string]*graph.Tensor{"x": random(yardRows, yardIn)}
	var best time.Duration
	for i := range rounds + 1 {
		start := time.Now()
		if _, err := s.Run(ctx, in); err != nil {
			return err
		}
		if took := time.Since(start); i == 1 || i > 1 && took < best {
			best = took
		}
	}
	return json.NewEncoder(out).Encode(2 * yardRows * yardIn * yardOut / best.Seconds())
}
