package eval

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Report is the outcome of an evaluation.
type Report struct {
	Plan      results.Plan
	Prompts   int      // prompts of the shard
	Resumed   int      // prompts that were already in the folder
	Done      int      // prompts that were computed
	Cells     int      // cells that were computed
	Torn      int64    // bytes of an incomplete prompt that an interrupted run left, and this one removed
	NotFinite int      // cells and prompts of the folder without a number
	NoEffect  []string // sources of which no memory changed anything
	Faint     []string // memories whose vectors are almost zero; see models.Faint
	Renamed   []string // further columns of the data that have another name in the results: "rank is data_rank"
	Summary   *stats.Summary
	Seconds   Seconds
}

// Seconds is the time spent in each phase.
type Seconds struct {
	Load  float64 `json:"load"`  // reading the model, encoding memories, opening sessions, choosing the plan
	Run   float64 `json:"run"`   // inside the host, on prompts
	Total float64 `json:"total"` // the whole evaluation
}

// Run evaluates and stores the results in c.Dir. It resumes where an earlier run stopped.
//
// When ctx ends, Run finishes and writes the current prompt, if that takes less than a second, and returns the context's cause;
// the same call resumes from there. All errors in model, data and memories are found before the folder is changed. When another process writes to the
// folder, the error wraps results.ErrLocked.
func Run(ctx context.Context, host runtime.Host, c Config) (*Report, error) {
	start := time.Now()
	if c.Shard == (results.Shard{}) {
		c.Shard.Of = 1
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	e, err := prepare(ctx, host, c)
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

func (e *evaluation) run(ctx context.Context, w *results.Writer, start time.Time) (*Report, error) {
	r := &Report{Prompts: len(e.rows), Renamed: e.renamed()}
	var todo, texts []int
	for _, i := range e.rows {
		if w.Done(i) {
			r.Resumed++
		} else {
			todo = append(todo, i)
		}
	}
	for i := range e.texts {
		if i%e.Shard.Of == e.Shard.Index && !w.DoneText(i) {
			texts = append(texts, i)
		}
	}
	r.Plan = w.Manifest.Plan
	if len(todo)+len(texts) > 0 {
		keys := slices.Clone(todo)
		for _, i := range texts {
			keys = append(keys, sideKey(i))
		}
		if err := e.encodeAll(ctx, keys); err != nil {
			return r, err
		}
		r.Faint = e.encode.faint
		debug.FreeOSMemory() // a tokenizer leaves garbage of twice its size, and the host's memory use peaks now
	}
	switch {
	case len(todo) > 0:
		if err := e.runPrompts(ctx, w, todo, r, start); err != nil {
			return r, err
		}
	case len(e.rows) == 0 || len(texts) > 0: // with more shards than prompts, some shards have no prompt
		if err := w.Begin(r.Plan); err != nil {
			return r, err
		}
		r.Torn = w.Torn
	}
	if err := e.runSide(ctx, w, texts); err != nil {
		return r, err
	}
	whole, err := results.Load(context.WithoutCancel(ctx), e.Dir) // all prompts are done: finish
	if err != nil {
		return r, err
	}
	r.NotFinite, r.NoEffect = notFinite(whole), noEffect(whole)
	if r.Summary, err = stats.Summarize(whole); err != nil {
		return r, err
	}
	r.Seconds.Total = time.Since(start).Seconds()
	return r, w.Summary(r.Summary)
}

// runPrompts computes and writes the prompts.
func (e *evaluation) runPrompts(ctx context.Context, w *results.Writer, todo []int, r *Report, start time.Time) error {
	e.bench.also = e.asked[todo[0]].also
	plan, run, err := e.open(ctx, w.Manifest.Plan, todo)
	if err != nil {
		return err
	}
	defer run.close()
	r.Plan = plan
	if err := w.Begin(plan); err != nil {
		return err
	}
	r.Torn = w.Torn
	r.Seconds.Load = time.Since(start).Seconds()
	return e.loop(ctx, w, run, todo, r)
}

// open opens the runner of the plan in the manifest, or chooses a plan on the first prompt.
func (e *evaluation) open(ctx context.Context, p results.Plan, todo []int) (results.Plan, runner, error) {
	if p.Used != "" {
		used, err := planByName(p.Used)
		if err == nil {
			err = used.covers(e.bench)
		}
		if err != nil {
			return p, nil, hint.With(fmt.Errorf("plan %s: %w", p.Used, err), "use --plan auto")
		}
		r, err := used.open(ctx, e.bench)
		if err != nil {
			return p, nil, hint.With(fmt.Errorf("plan %s: %w", p.Used, err), "use --plan auto")
		}
		return p, r, nil
	}
	_, cells, err := e.cells(todo[0])
	if err != nil {
		return p, nil, err
	}
	r, p, err := choose(ctx, e.bench, e.asked[todo[0]], cells, sample(e.bench, cells))
	return p, r, err
}

// sample returns one cell of each place, each with a different tau and head: enough to see a difference, and cheap. Cells that change
// nothing equal the clean run and show nothing about the others; they are used only when there are no others.
func sample(b bench, cells []cell) []int {
	var out []int
	for n, at := range b.places {
		var loud, all []int
		for i, c := range cells {
			if c.BakedAt != at {
				continue
			}
			all = append(all, i)
			if (intervention.Plan{b.change(c)}).Acts() {
				loud = append(loud, i)
			}
		}
		if loud == nil {
			loud = all
		}
		out = append(out, loud[n%len(loud)])
	}
	return out
}

// loop computes and writes the prompts in order.
func (e *evaluation) loop(ctx context.Context, w *results.Writer, run runner, todo []int, r *Report) error {
	best := stats.Running{Harm: w.Manifest.Harm()}
	if r.Resumed > 0 {
		earlier, err := results.Load(ctx, e.Dir)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil {
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
	report := func(done int) {
		p := Progress{Stage: Running, Done: r.Resumed + done, All: len(e.rows)}
		if b, ok := best.Best(); ok {
			p.Best = &b
		}
		e.Progress(p)
	}
	report(0)
	for n, i := range todo {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		began := time.Now()
		unit, stop := unitOf(ctx)
		p, rows, err := e.prompt(unit, run, i)
		stop()
		r.Seconds.Run += time.Since(began).Seconds()
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("prompt %d: %w", i, err)
		}
		if err := w.Append(p, rows); err != nil {
			return err
		}
		r.Done++
		r.Cells += len(rows)
		best.Add(p, rows)
		report(n + 1)
	}
	return nil
}

// grace is how long a prompt in progress may take after the evaluation is stopped. Then it is abandoned: another run computes it.
const grace = time.Second

// unitOf returns the context of a prompt, which ends the time of grace after ctx. stop releases it.
func unitOf(ctx context.Context) (unit context.Context, stop func()) {
	unit, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-unit.Done():
		}
	})
	return unit, func() { unhook(); cancel() }
}

// prompt computes the cells of one prompt and its scores without a memory.
func (e *evaluation) prompt(ctx context.Context, run runner, i int) (results.Prompt, []results.Cell, error) {
	p, q := e.data.Rows[i].Prompt, e.asked[i]
	p.AnswerID, p.Tokens, p.Ceiling, p.Further = q.answer, len(q.ids), results.None(), e.data.furtherOf(i)
	rows, cells, err := e.cells(i)
	if err != nil {
		return p, nil, err
	}
	if len(q.at) == 0 { // the prompt has no place for the memory
		cells = nil
	}
	clean, scores, err := run.run(ctx, q, cells)
	if err != nil {
		return p, nil, err
	}
	p.Clean = clean
	for j := range rows {
		rows[j].Score = results.None()
		if cells != nil {
			rows[j].Score = scores[j]
		}
	}
	if e.Told {
		t := e.told[i]
		p.Told = &results.Told{Score: results.None(), Text: t.text}
		if t.ids != nil {
			if p.Told.Score, _, err = run.run(ctx, question{ids: t.ids, answer: q.answer}, nil); err != nil {
				return p, nil, fmt.Errorf("prompt with the memory in front: %w", err)
			}
		}
	}
	if ids := e.onehop[i]; ids != nil {
		if p.Ceiling, _, err = run.run(ctx, question{ids: ids, answer: q.answer}, nil); err != nil {
			return p, nil, fmt.Errorf("one-hop prompt: %w", err)
		}
	}
	return p, rows, nil
}
