package steer

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Fan computes many cells of a prompt in one run; see [rewrite.FanOut]. A cell is a plan whose changes are all at one place.
type Fan struct {
	model  *Model
	grid   rewrite.Grid
	places []models.BakedAt // in the order of the rows
	prefix prefix
}

// FanRow is what a row says about the token after the prompt.
type FanRow struct {
	LogP float64 // of the answer; +Inf when the row's numbers left the range of their type, as in [Batch.Rows]
	Rank int     // the number of tokens that are likelier than the answer
	Top  []int64 // the likeliest tokens, most likely first
}

// Fan opens a session for a grid. [Fan.Close] closes it.
func (m *Model) Fan(ctx context.Context, g rewrite.Grid) (*Fan, error) {
	f := &Fan{model: m, grid: g}
	s, err := m.Decoder.Session(ctx, m.host, m.options, decoder.FanOut(g, &f.places))
	if err != nil {
		return nil, err
	}
	f.prefix = newPrefix(s)
	return f, nil
}

// Close closes the session.
func (f *Fan) Close() error { return f.prefix.session.Close() }

// Run computes the clean run of a prompt and its cells. With a cache, the positions before the first change run once for all calls
// with the same prompt, and the numbers are those of whole runs up to rounding.
func (f *Fan) Run(ctx context.Context, ids []int64, answer int64, cells []intervention.Plan) (clean FanRow, rows []FanRow, err error) {
	if err := f.model.fits("prompt", ids); err != nil {
		return clean, nil, err
	}
	for i, plan := range cells {
		if err := f.check(plan); err != nil {
			return clean, nil, fmt.Errorf("fan-out: cell %d: %w", i, err)
		}
	}
	from, err := f.prefix.before(len(ids), cells)
	if err != nil {
		return clean, nil, err
	}
	session := f.prefix.session
	feeds, err := session.Signature.Step([][]int64{ids[from:]}, from)
	if err != nil {
		return clean, nil, err
	}
	if from > 0 {
		off, _, err := f.feeds(answer, nil, intervention.Span{})
		if err == nil {
			err = f.prefix.run(ctx, ids[:from], off)
		}
		if err != nil {
			return clean, nil, err
		}
		maps.Copy(feeds, f.prefix.past)
	} else {
		empty, err := session.Signature.EmptyCache(1)
		if err != nil {
			return clean, nil, err
		}
		maps.Copy(feeds, empty)
	}
	changed, order, err := f.feeds(answer, cells, intervention.Span{From: from, To: len(ids), Prompt: len(ids)})
	if err != nil {
		return clean, nil, err
	}
	maps.Copy(feeds, changed)
	out, err := session.Run(ctx, feeds, f.outputs()...)
	if err != nil {
		return clean, nil, err
	}
	got, err := f.read(out, len(order)+1)
	if err != nil {
		return clean, nil, err
	}
	rows = slices.Repeat([]FanRow{got[0]}, len(cells)) // a cell without changes is the clean run
	for row, cell := range order {
		if rows[cell] = got[row+1]; tooLoud(cells[cell]) {
			rows[cell] = FanRow{LogP: math.Inf(1)}
		}
	}
	return got[0], rows, nil
}

// check refuses a cell that the rows cannot have: they would leave a part of it out.
func (f *Fan) check(plan intervention.Plan) error {
	for _, c := range plan {
		switch at := (models.BakedAt{Site: c.Site, Layer: c.Layer}); {
		case !slices.Contains(f.places, at):
			return fmt.Errorf("no rows at %s of layer %d", c.Site, c.Layer)
		case c.Site != plan[0].Site || c.Layer != plan[0].Layer:
			return fmt.Errorf("want changes at one place, got %s of layer %d and %s of layer %d", plan[0].Site, plan[0].Layer, c.Site, c.Layer)
		case c.Keep != 1 && !f.grid.Keep:
			return fmt.Errorf("a factor of %g, but the grid has none", c.Keep)
		}
	}
	return plan.Check(f.model.Layout)
}

// feeds returns the inputs of the cells, and the cells in the order of their rows.
func (f *Fan) feeds(answer int64, cells []intervention.Plan, s intervention.Span) (map[string]*graph.Tensor, []int, error) {
	out := map[string]*graph.Tensor{rewrite.FanOutAnswer: graph.NewInt64([]int64{answer}, 1)}
	var order []int
	for _, place := range f.places {
		var here []intervention.Plan
		for i, plan := range cells {
			if len(plan) > 0 && (models.BakedAt{Site: plan[0].Site, Layer: plan[0].Layer}) == place {
				here, order = append(here, plan), append(order, i)
			}
		}
		rows, err := intervention.Rows(here, f.model.Layout, s)
		if err != nil {
			return nil, nil, err
		}
		put := func(name string, kind models.PortKind, dims ...int64) {
			port := place.Site.Input(kind)
			out[name] = rows[port.Name(place.Layer)]
			if out[name] == nil { // none of the cells has it
				n := int64(len(here))
				for _, d := range dims {
					n *= d
				}
				off := make([]float32, n)
				for i := range off {
					off[i] = port.Neutral
				}
				out[name] = graph.NewFloat32(off, append([]int64{int64(len(here))}, dims...)...)
			}
		}
		put(rewrite.FanOutMemory(place), models.PortMemory, 1, int64(f.model.Layout.DModel))
		put(rewrite.FanOutTau(place), models.PortTau, 1, 1)
		if f.grid.Keep {
			put(rewrite.FanOutKeep(place), models.PortKeep, 1, 1)
		}
	}
	return out, order, nil
}

// outputs lists what a run of cells returns: all except the cache.
func (f *Fan) outputs() (names []string) {
	for _, p := range f.prefix.session.Outputs() {
		if !slices.ContainsFunc(f.prefix.carries, func(c inputs.Carry) bool { return c.Present == p.Name }) {
			names = append(names, p.Name)
		}
	}
	return names
}

// read converts the outputs of a run to rows.
func (f *Fan) read(out map[string]*graph.Tensor, n int) ([]FanRow, error) {
	logp, err := out[rewrite.FanOutLogP].Float32s()
	if err != nil {
		return nil, err
	}
	rank, err := out[rewrite.FanOutRank].Int64s()
	if err != nil {
		return nil, err
	}
	var top []int64
	if f.grid.Top > 0 {
		if top, err = out[rewrite.FanOutTop].Int64s(); err != nil {
			return nil, err
		}
	}
	signal, err := signals(out, n)
	if err != nil {
		return nil, err
	}
	if len(logp) != n || len(rank) != n || len(top) != n*f.grid.Top {
		return nil, fmt.Errorf("fan-out: got %d rows, want %d", len(logp), n)
	}
	rows := make([]FanRow, n)
	for i := range rows {
		rows[i] = FanRow{LogP: float64(logp[i]), Rank: int(rank[i]), Top: top[i*f.grid.Top : (i+1)*f.grid.Top]}
		if signal[i] == 0 { // the last norm lost the stream
			rows[i] = FanRow{LogP: math.Inf(1)}
		}
	}
	return rows, nil
}
