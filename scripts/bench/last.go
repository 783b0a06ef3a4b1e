package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// lastBlock measures P17: the gain from computing the last block only for the last position.
func lastBlock(ctx context.Context, b *bench) ([]row, error) {
	folder, err := b.exported(ctx, gpt2Small)
	if err != nil {
		return nil, err
	}
	var t []timing
	if _, err := b.run(ctx, &t, "last", strconv.Itoa(b.rounds), strconv.Itoa(b.threads), folder); err != nil {
		return nil, err
	}
	return []row{{id: "P17", what: "fan-out, last block at all positions / at the last, 14 tokens", value: float64(t[0].Run) / float64(t[1].Run), goal: 1.08, atLeast: true,
		note: fmt.Sprintf("%s / %s (CPU %s / %s)", seconds(t[0].Run), seconds(t[1].Run), seconds(t[0].CPU), seconds(t[1].CPU))}}, nil
}

// last runs the grid of a prompt in two fan-out graphs in turn, and checks that they agree: one with the last block at all
// positions, and the graph of package rewrite. It prints a [timing] of each.
//
//	bench last ROUNDS THREADS FOLDER
func last(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("last %q: want numbers of rounds and threads, and a model folder", args)
	}
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("last: rounds %q: want a number", args[0])
	}
	threads, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("last: threads %q: want a number", args[1])
	}
	result := make([]timing, 2)
	var sides []side
	var answers [2][]float32
	rows := 0
	for i, trick := range []bool{false, true} {
		d, err := openDecoder(ctx, args[2], threads, fanOut(trick))
		if err != nil {
			return err
		}
		defer d.Close()
		rows = 1 + d.Layout.Layers*int(smallGrid.taus)
		in, err := d.feeds(tokens, smallGrid.taus)
		if err != nil {
			return err
		}
		sides = append(sides, side{fmt.Sprintf("last block for the last position: %v", trick), nil, func() (sample, error) {
			start, before := time.Now(), worked()
			got, err := d.Run(ctx, in)
			s := sample{wall: time.Since(start), cpu: worked() - before}
			if err == nil {
				answers[i], err = got[rewrite.FanOutLogP].Float32s()
			}
			return s, err
		}})
		if _, err := sides[i].run(); err != nil { // the first run plans memory
			return err
		}
	}
	best, err := compare(rounds, sides...)
	if err != nil {
		return err
	}
	for i := range best {
		result[i].Run, result[i].CPU = best[i].wall, best[i].cpu
	}
	if len(answers[0]) != rows || len(answers[1]) != rows {
		return fmt.Errorf("last: %d and %d rows, want %d", len(answers[0]), len(answers[1]), rows)
	}
	for i := range answers[0] {
		if d := math.Abs(float64(answers[0][i] - answers[1][i])); !(d <= 1e-4) {
			return fmt.Errorf("last: the graphs differ by %g in row %d", d, i)
		}
	}
	return json.NewEncoder(out).Encode(result)
}

// fanOut makes the grid's graph. To keep the last block at all positions it adds an operator that reads several of them: a Slice of
// all positions, which copies an eighth of a percent of the computed values.
func fanOut(trick bool) decoder.Change {
	return func(ctx context.Context, c *decoder.Copy) error {
		if !trick {
			body := c.Layout.Bodies[0]
			mlp := body.Layers[len(body.Layers)-1].MLPOut[0]
			e := c.Graph.Edit()
			ints := func(x int64) *graph.Value { return e.Const(body.Graph, "bench/int", graph.NewInt64([]int64{x}, 1)) }
			all := e.Node(body.Graph, graph.Spec{Op: "Slice", Name: "bench/all", Inputs: []*graph.Value{mlp, ints(0), ints(1<<31 - 1), ints(1)}})
			for _, u := range mlp.Uses() {
				e.Redirect(u, all)
			}
			if err := e.Commit(); err != nil {
				return err
			}
		}
		if err := decoder.FanOut(rewrite.Grid{Sites: []models.PortKind{models.DefaultSite}}, new([]models.BakedAt))(ctx, c); err != nil {
			return err
		}
		cut := slices.ContainsFunc(c.Graph.Graph.Nodes(), func(n *graph.Node) bool {
			return strings.HasPrefix(n.Name(), "fanout/last_")
		})
		if cut != trick {
			return fmt.Errorf("last block for the last position only: %v, want %v", cut, trick)
		}
		return nil
	}
}
