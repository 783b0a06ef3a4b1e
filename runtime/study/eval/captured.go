package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// captured is a memory that the model itself computes: the value of a site in a run of some texts.
type captured struct {
	texts []string        // that are run as prompts; nil: the prompt of the cell, at the position that is changed
	mean  bool            // over all tokens of all texts but beginning-of-text tokens; false: at the last token of the only text
	from  *models.BakedAt // whose value; nil: the place that is changed
}

// looked lists the places whose values a run must show: those that change, and those that memories come from.
func (e *evaluation) looked() []models.BakedAt {
	out := slices.Clip(e.bench.places)
	for _, s := range e.sources {
		if s.from != nil && !slices.Contains(out, *s.from) {
			out = append(out, *s.from)
		}
	}
	return out
}

// capture computes the vectors of a captured memory, one for each place that changes. q is the prompt of the cell.
func (e *encoder) capture(ctx context.Context, c *captured, q question) (map[models.BakedAt][]float32, error) {
	texts := [][]int64{q.ids}
	if c.texts != nil {
		texts = nil
		for _, text := range c.texts {
			ids, err := e.model.Prompt(text)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", text, err)
			}
			texts = append(texts, ids)
		}
	}
	sums, count := make([][]float64, len(e.looked)), 0
	for _, ids := range texts {
		values, err := e.model.Values(ctx, ids, e.looked)
		if err != nil {
			return nil, err
		}
		from, to := len(ids)-1, len(ids)
		switch {
		case c.mean:
			from = 0
			if bos, ok := e.model.BOS(); ok && ids[0] == bos {
				from = 1 // its state is unlike that of any other token
			}
		case c.texts == nil:
			if len(q.at) != 1 {
				return nil, fmt.Errorf("the state of one token is put into one position, got %d", len(q.at))
			}
			if from, to, err = q.at[0].Within(len(ids)); err == nil && to-from != 1 {
				err = fmt.Errorf("the state of one token is put into one position, got %v", q.at[0])
			}
			if err != nil {
				return nil, err
			}
		}
		for i, at := range e.looked {
			size := at.Site.Intervention().MemoryLen(e.model.Layout)
			if sums[i] == nil {
				sums[i] = make([]float64, size)
			}
			for p := from; p < to; p++ {
				for j := range size {
					sums[i][j] += float64(values[i][p*size+j])
				}
			}
		}
		count += to - from
	}
	if count == 0 {
		return nil, errors.New("the texts have no token but the beginning-of-text token")
	}
	out := map[models.BakedAt][]float32{}
	vector := func(at models.BakedAt) []float32 {
		for i, x := range e.looked {
			if x == at {
				v := make([]float32, len(sums[i]))
				for j, sum := range sums[i] {
					v[j] = float32(sum / float64(count))
				}
				return v
			}
		}
		return nil
	}
	for _, at := range e.places {
		if c.from != nil {
			out[at] = vector(*c.from)
		} else {
			out[at] = vector(at)
		}
	}
	return out, nil
}

// openCaptured gives each prompt the value at the last token of another prompt: of a column, or of the one-hop prompt.
func openCaptured(column string, in sourceInput) (*Source, error) {
	var texts []string
	if column == "" {
		for i, r := range in.data.Rows {
			if r.OneHop == "" {
				return nil, fmt.Errorf("prompt %d has no one-hop prompt; captured:COLUMN names another column", i)
			}
			texts = append(texts, r.OneHop)
		}
	} else {
		var err error
		if texts, err = in.data.Column(column); err != nil {
			return nil, err
		}
	}
	memories := make([][]Memory, len(texts))
	for i, text := range texts {
		if text == "" {
			return nil, fmt.Errorf("prompt %d has none", i)
		}
		memories[i] = []Memory{{Text: text, captured: &captured{texts: []string{text}}}}
	}
	return &Source{at: func(prompt, _, _ int) []Memory { return memories[prompt] }}, nil
}

// openMean gives every prompt the mean value over the texts of a file, for mean ablation.
func openMean(arg string, _ sourceInput) (*Source, error) {
	texts, file, err := ReadPrompts(arg)
	if err != nil {
		return nil, err
	}
	mean := []Memory{{Text: fmt.Sprintf("mean, texts: %d", len(texts)), captured: &captured{texts: texts, mean: true}}}
	return &Source{Source: results.Source{File: &file}, at: func(int, int, int) []Memory { return mean }}, nil
}

// openBackpatch gives each prompt its own hidden state after a later layer: the method of Biran et al., "Hopping Too Late", 2024,
// arXiv 2406.12775.
func openBackpatch(arg string, in sourceInput) (*Source, error) {
	layer, err := strconv.Atoi(arg)
	if err != nil || layer < 0 || layer >= in.layers {
		return nil, fmt.Errorf("layer %q, the model has 0 to %d", arg, in.layers-1)
	}
	from := models.BakedAt{Site: models.PortResidPost, Layer: layer}
	own := []Memory{{Text: from.Site.Name(layer), captured: &captured{from: &from}}}
	return &Source{from: &from, at: func(int, int, int) []Memory { return own }}, nil
}
