package eval

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/results"
	"github.com/onnx-inject/onnx-inject/runtime/stats"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// Report is what an evaluation did.
type Report struct {
	Plan      results.Plan
	Prompts   int      // of the shard
	Resumed   int      // that were in the folder already
	Done      int      // that were computed
	Cells     int      // that were computed
	NotFinite int      // rows of the folder without a number
	Faint     []string // memories whose vectors are as good as zero; see models.Faint
	Summary   *stats.Summary
	Seconds   Seconds
}

// Seconds is where the time went.
type Seconds struct {
	Load  float64 `json:"load"`  // reading the model, encoding memories, opening sessions, choosing the plan
	Run   float64 `json:"run"`   // inside the host, on prompts
	Total float64 `json:"total"` // all of it
}

// evaluation is one at work.
type evaluation struct {
	Config
	bench   bench
	data    *Data
	sources []*Source
	encode  *encoder
	rows    []int            // indexes of the prompts of this shard
	asked   map[int]question // by index
	onehop  map[int][]int64  // tokens of the one-hop prompts
}

// Run evaluates, and leaves the results in c.Dir. It goes on where an earlier run stopped.
//
// When ctx ends, the prompt under way is finished and written, and the error is the context's cause; the same call goes on
// from there. Everything that can be wrong with model, data and memories is found before the folder is touched; another
// process that writes there is results.ErrLocked.
func Run(ctx context.Context, host runtime.Host, c Config) (*Report, error) {
	start := time.Now()
	if c.Shard == (results.Shard{}) {
		c.Shard.Of = 1
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	e, err := prepare(host, c)
	if err != nil {
		return nil, err
	}
	m, err := e.manifest()
	if err != nil {
		return nil, err
	}
	w, err := results.Create(c.Dir, m)
	if err != nil {
		return nil, err
	}
	r, err := e.run(ctx, w, start)
	return r, errors.Join(err, w.Close())
}

// prepare reads everything that is asked of the model.
func prepare(host runtime.Host, c Config) (*evaluation, error) {
	model, err := steer.Open(host, c.Model, c.Options)
	if err != nil {
		return nil, err
	}
	if err := model.LoadTokenizer(); err != nil {
		return nil, err
	}
	model.Texts = c.Texts
	if err := c.check(model.Layout.Layers); err != nil {
		return nil, err
	}
	if c.Top > model.Layout.Vocab && model.Layout.Vocab > 0 {
		return nil, fmt.Errorf("the %d likeliest tokens, the vocabulary has %d", c.Top, model.Layout.Vocab)
	}
	if c.Layers == nil {
		for l := range model.Layout.Layers {
			c.Layers = append(c.Layers, l)
		}
	}
	e := &evaluation{Config: c, bench: bench{model, host, c.Options, c.Positions, c.Top}, asked: map[int]question{}, onehop: map[int][]int64{}}
	e.encode = newEncoder(model, c.Encoding, c.Convention, c.Layers)
	if e.data, err = ReadData(c.Data); err != nil {
		return nil, err
	}
	for i, spec := range c.Memories {
		s, err := openSource(spec, sourceInput{e.data, model.Layout.Layers, len(c.Taus)})
		if err != nil {
			return nil, err
		}
		if slices.Contains(c.Memories[:i], spec) {
			return nil, fmt.Errorf("memory %q stands twice", spec)
		}
		e.sources = append(e.sources, s)
	}
	for i := range e.prompts() {
		if i%c.Shard.Of == c.Shard.Index {
			e.rows = append(e.rows, i)
		}
	}
	for _, i := range e.rows {
		if err := e.ask(i); err != nil {
			return nil, graph.Hint(fmt.Errorf("data %q: prompt %d: %w", c.Data, i, err), graph.HintOf(err))
		}
	}
	return e, nil
}

// prompts is how many rows of the data count.
func (e *evaluation) prompts() int {
	n := len(e.data.Rows)
	if e.Limit > 0 {
		n = min(n, e.Limit)
	}
	return n
}

// ask turns the texts of a row into tokens.
func (e *evaluation) ask(i int) (err error) {
	row := e.data.Rows[i]
	var q question
	if q.ids, err = e.bench.model.Prompt(row.TwoHop); err != nil {
		return err
	}
	if q.answer, err = e.bench.model.Answer(row.Answer); err != nil {
		return err
	}
	if row.OneHop != "" {
		if e.onehop[i], err = e.bench.model.Prompt(row.OneHop); err != nil {
			return err
		}
	}
	e.asked[i] = q
	_, _, err = e.Positions.Within(len(q.ids))
	return err
}

// manifest describes the evaluation, the plan only where one was asked for.
func (e *evaluation) manifest() (*results.Manifest, error) {
	l, folder := e.bench.model.Layout, e.bench.model.Folder
	m := &results.Manifest{
		Version: results.ManifestVersion, Tool: e.Tool, Data: e.data.File, Prompts: e.prompts(), Layers: e.Layers, Taus: e.Taus,
		Encoding: string(e.Encoding), Convention: string(e.Convention), Positions: e.Positions.String(), Texts: e.Texts,
		Top: e.Top, First: e.First, Shard: e.Shard, Host: e.Host,
		Model: results.Model{
			Name: modelName(e.Model, folder.Model), Family: l.Family, Variant: l.Exporter,
			Layers: l.Layers, Heads: l.Heads, DModel: l.DModel, Vocab: l.Vocab,
		},
	}
	if e.Plan != Auto {
		m.Plan.Used = e.Plan
	}
	for _, s := range e.sources {
		m.Memories = append(m.Memories, s.Source)
	}
	var err error
	if m.Model.SHA256, err = hashModel(folder.Model); err != nil {
		return nil, err
	}
	m.Model.Tokenizer, err = hashDir(folder.TokenizerDir, "tokenizer.json", "vocab.json", "merges.txt")
	return m, err
}

// modelName is the name of the folder that was given, or of the file.
func modelName(given, file string) string {
	if abs, err := filepath.Abs(given); err == nil {
		given = abs
	}
	if given == file || filepath.Ext(given) == ".onnx" {
		return filepath.Base(file)
	}
	return filepath.Base(given)
}

func (e *evaluation) run(ctx context.Context, w *results.Writer, start time.Time) (*Report, error) {
	r := &Report{Prompts: len(e.rows)}
	var todo []int
	for _, i := range e.rows {
		if w.Done(i) {
			r.Resumed++
		} else {
			todo = append(todo, i)
		}
	}
	r.Plan = w.Manifest.Plan
	if len(todo) > 0 || r.Resumed == 0 {
		if err := e.encodeAll(ctx, todo); err != nil {
			return r, err
		}
		r.Faint = e.encode.faint
		plan, run, err := e.open(ctx, w.Manifest.Plan, todo)
		if err != nil {
			return r, err
		}
		defer run.close()
		r.Plan = plan
		if err := w.Begin(plan); err != nil {
			return r, err
		}
		r.Seconds.Load = time.Since(start).Seconds()
		if err := e.loop(ctx, w, run, todo, r); err != nil {
			return r, err
		}
	}
	whole, err := results.Load(e.Dir)
	if err != nil {
		return r, err
	}
	for _, c := range whole.Cells {
		if !c.OK() {
			r.NotFinite++
		}
	}
	if r.Summary, err = stats.Summarize(whole); err != nil {
		return r, err
	}
	r.Seconds.Total = time.Since(start).Seconds()
	return r, w.Summary(r.Summary)
}

// encodeAll makes the vectors of all memories of the prompts, and frees what that took.
func (e *evaluation) encodeAll(ctx context.Context, prompts []int) error {
	for n, i := range prompts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, s := range e.sources {
			for k := range e.Taus {
				for _, layer := range e.Layers {
					for _, m := range e.memories(s, i, layer, k) {
						if err := e.encode.add(ctx, m); err != nil {
							return fmt.Errorf("prompt %d: %w", i, err)
						}
					}
				}
			}
		}
		e.Progress(Progress{Stage: Encoding, Done: n + 1, All: len(prompts)})
	}
	return e.bench.model.Close()
}

// memories are those of a source at a cell.
func (e *evaluation) memories(s *Source, prompt, layer, tau int) []Memory {
	list := s.at(prompt, layer, tau)
	if e.First > 0 {
		list = list[:min(len(list), e.First)]
	}
	return list
}

// open makes the runner of the plan that the manifest has, or chooses one on the first prompt.
func (e *evaluation) open(ctx context.Context, p results.Plan, todo []int) (results.Plan, runner, error) {
	if p.Used != "" {
		used, err := planByName(p.Used)
		if err != nil {
			return p, nil, err
		}
		r, err := used.open(ctx, e.bench)
		if err != nil {
			return p, nil, graph.Hint(fmt.Errorf("plan %s: %w", p.Used, err), "use --plan auto")
		}
		return p, r, nil
	}
	// Each layer once, with another tau: enough to see a difference, and cheap.
	rows, cells := e.cells(todo[0])
	var some []cell
	for i, l := range e.Layers {
		for j := range rows {
			if rows[j].Layer == l && rows[j].Tau == e.Taus[i%len(e.Taus)] {
				some = append(some, cells[j])
				break
			}
		}
	}
	r, p, err := choose(ctx, e.bench, e.asked[todo[0]], some)
	return p, r, err
}

// cells lists the grid of a prompt: by source, layer, tau, memory.
func (e *evaluation) cells(prompt int) (rows []results.Cell, cells []cell) {
	for _, s := range e.sources {
		for _, layer := range e.Layers {
			for k, tau := range e.Taus {
				for _, m := range e.memories(s, prompt, layer, k) {
					rows = append(rows, results.Cell{Prompt: prompt, Layer: layer, Tau: tau, Source: s.Name, Memory: m.Text})
					cells = append(cells, cell{layer, tau, e.encode.vector(m, layer)})
				}
			}
		}
	}
	return rows, cells
}

// loop computes and writes prompt after prompt.
func (e *evaluation) loop(ctx context.Context, w *results.Writer, run runner, todo []int, r *Report) error {
	var best stats.Running
	if r.Resumed > 0 {
		earlier, err := results.Load(e.Dir)
		if err != nil {
			return err
		}
		for len(earlier.Prompts) > 0 {
			p, n := earlier.Prompts[0], 0
			for n < len(earlier.Cells) && earlier.Cells[n].Prompt == p.Index {
				n++
			}
			best.Add(p, earlier.Cells[:n])
			earlier.Prompts, earlier.Cells = earlier.Prompts[1:], earlier.Cells[n:]
		}
	}
	tell := func(done int) {
		p := Progress{Stage: Running, Done: r.Resumed + done, All: len(e.rows)}
		if b, ok := best.Best(); ok {
			p.Best = &b
		}
		e.Progress(p)
	}
	tell(0)
	for n, i := range todo {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		began := time.Now()
		p, rows, err := e.prompt(context.WithoutCancel(ctx), run, i)
		r.Seconds.Run += time.Since(began).Seconds()
		if err != nil {
			return fmt.Errorf("prompt %d: %w", i, err)
		}
		if err := w.Append(p, rows); err != nil {
			return err
		}
		r.Done++
		r.Cells += len(rows)
		best.Add(p, rows)
		tell(n + 1)
	}
	return nil
}

// prompt computes the cells of one prompt, and what the model says without a memory.
func (e *evaluation) prompt(ctx context.Context, run runner, i int) (results.Prompt, []results.Cell, error) {
	p, q := e.data.Rows[i].Prompt, e.asked[i]
	p.AnswerID, p.Tokens, p.Ceiling = q.answer, len(q.ids), results.None()
	rows, cells := e.cells(i)
	clean, scores, err := run.run(ctx, q, cells)
	if err != nil {
		return p, nil, err
	}
	p.Clean = clean
	for j := range rows {
		rows[j].Score = scores[j]
	}
	if ids := e.onehop[i]; ids != nil {
		if p.Ceiling, _, err = run.run(ctx, question{ids, q.answer}, nil); err != nil {
			return p, nil, fmt.Errorf("one-hop prompt: %w", err)
		}
	}
	return p, rows, nil
}
