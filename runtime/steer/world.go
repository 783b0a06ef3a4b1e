package steer

import (
	"context"
	"math"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
)

// World is the table of the embedded model: what a missing hop costs, and what a memory of it brings back. All
// probabilities are of the answer's first token, averaged over the prompts.
type World struct {
	Prompts  int         `json:"prompts"`
	Explicit float64     `json:"explicit"` // one hop
	Clean    float64     `json:"clean"`    // two hops
	Taus     []float64   `json:"taus"`
	Grid     [][]float64 `json:"grid"`  // [layer][tau], with the curated memory
	Layer    int         `json:"layer"` // of the best cell
	Tau      float64     `json:"tau"`
	Best     float64     `json:"best"`
	Improved int         `json:"improved"` // prompts that the best cell makes likelier
	Wrong    float64     `json:"wrong"`    // best cell, memory of another country
	Random   float64     `json:"random"`   // best cell, a random word

	Example demo.Prompt `json:"example"` // the prompt that gained most
}

// WorldTaus are the magnitudes of the demo's grid.
var WorldTaus = []float64{0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8}

// RunWorld computes the table for the embedded prompts: memory = the missing hop, encoding unembed, convention tl-folded,
// all positions. All taus of a layer are rows of one run. step is called after each prompt.
func RunWorld(ctx context.Context, m *Model, prompts []demo.Prompt, words []string, step func(done, all int)) (*World, error) {
	w := &World{Prompts: len(prompts), Taus: WorldTaus, Grid: make([][]float64, m.Layout.Layers)}
	for l := range w.Grid {
		w.Grid[l] = make([]float64, len(w.Taus))
	}
	enc, err := m.Layout.Encoder(models.EncodingUnembed, models.ConventionFolded)
	if err != nil {
		return nil, err
	}
	vector := func(text string) ([]float32, error) {
		ids, err := m.Memory(text)
		if err != nil {
			return nil, err
		}
		return enc.Vector(ids)
	}
	type prompt struct {
		ids    []int64
		answer int64
		memory []float32
		clean  float64
		cells  [][]float64 // [layer][tau]
	}
	all := make([]prompt, len(prompts))
	zero := make([]float32, m.Layout.DModel)
	one := func(text string, answer int64) (float64, []int64, error) {
		ids, err := m.Prompt(text)
		if err != nil {
			return 0, nil, err
		}
		rows, err := m.Rows(ctx, ids, 0, AllPositions, [][]float32{zero}, []float64{0})
		if err != nil {
			return 0, nil, err
		}
		return math.Exp(LogSoftmax(rows[0])[answer]), ids, nil
	}
	n := float64(len(prompts))
	for i, p := range prompts {
		x := &all[i]
		if x.answer, err = m.Answer(p.Answer); err != nil {
			return nil, err
		}
		explicit, _, err := one(p.ExplicitSentence, x.answer)
		if err != nil {
			return nil, err
		}
		if x.clean, x.ids, err = one(p.ObscureSentence, x.answer); err != nil {
			return nil, err
		}
		if x.memory, err = vector(p.ExplicitEntity); err != nil {
			return nil, err
		}
		w.Explicit += explicit / n
		w.Clean += x.clean / n
		vectors := make([][]float32, len(w.Taus))
		for k := range vectors {
			vectors[k] = x.memory
		}
		for l := range m.Layout.Layers {
			rows, err := m.Rows(ctx, x.ids, l, AllPositions, vectors, w.Taus)
			if err != nil {
				return nil, err
			}
			cells := make([]float64, len(rows))
			for k, logits := range rows {
				cells[k] = math.Exp(LogSoftmax(logits)[x.answer])
				w.Grid[l][k] += cells[k] / n
			}
			x.cells = append(x.cells, cells)
		}
		step(i+1, len(prompts))
	}
	k := 0
	for l, row := range w.Grid {
		for j, p := range row {
			if p > w.Best {
				w.Best, w.Layer, w.Tau, k = p, l, w.Taus[j], j
			}
		}
	}
	gain := -1.0
	for i, p := range prompts {
		x := &all[i]
		if d := x.cells[w.Layer][k] - x.clean; d > 0 {
			w.Improved++
			if d > gain {
				gain, w.Example = d, p
			}
		}
		wrong, err := vector(wrongMemory(prompts, i))
		if err != nil {
			return nil, err
		}
		random, err := vector(words[i%len(words)])
		if err != nil {
			return nil, err
		}
		rows, err := m.Rows(ctx, x.ids, w.Layer, AllPositions, [][]float32{wrong, random}, []float64{w.Tau, w.Tau})
		if err != nil {
			return nil, err
		}
		w.Wrong += math.Exp(LogSoftmax(rows[0])[x.answer]) / n
		w.Random += math.Exp(LogSoftmax(rows[1])[x.answer]) / n
	}
	return w, nil
}

// wrongMemory is the missing hop of the prompt half the list further on, or the next one that is another country.
func wrongMemory(prompts []demo.Prompt, i int) string {
	n := len(prompts)
	for j := range n {
		if p := prompts[(i+n/2+j)%n]; p.ExplicitEntity != prompts[i].ExplicitEntity {
			return p.ExplicitEntity
		}
	}
	return prompts[i].ExplicitEntity
}
