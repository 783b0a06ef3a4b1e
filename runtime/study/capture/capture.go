package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Positions are the choices of positions. The first is the default.
var Positions = []string{"all", "last"}

// Config describes a capture.
type Config struct {
	Model     *decoder.Model
	Data      string // file of prompts; see eval.ReadPrompts
	Dir       string // folder of the values
	Hooks     []Hook
	Last      bool          // only the last position of each prompt
	DType     string        // see DTypes
	PromptBOS bool          // prompts begin with the beginning-of-text token
	Shard     results.Shard // the zero value is the whole capture
	Limit     int           // number of prompts from the start of the data; 0 for all
	From      []string      // finished folders of parts of the same capture: their values are used instead of runs
	FileMiB   int           // size of the values of a file; 0 for the default

	Options runtime.Options
	Tool    string       // name and version of the program, for the manifest
	Host    results.Host // for the manifest

	// Progress is called after each batch with the number of prompts that are done. It may be nil.
	Progress func(done, all int)
}

// Report is the outcome of a capture.
type Report struct {
	Prompts   int // of the shard
	Resumed   int // prompts that were already in the folder
	Done      int // prompts that were run
	Taken     int // prompts whose values came from other folders
	Rows      int // of the folder
	Files     int // safetensors files of the folder
	NotFinite int // rows with a value that is not finite; known at the end
	Batch     Batch
	Seconds   Seconds
}

// Seconds is the time spent in each phase.
type Seconds struct {
	Load  float64 `json:"load"`  // reading the model and the prompts, opening the session, comparing a batch with single prompts
	Run   float64 `json:"run"`   // inside the host, on prompts
	Total float64 `json:"total"` // the whole capture
}

// Run captures and stores the values in c.Dir. It resumes where an earlier run stopped.
//
// When ctx ends, Run finishes and stores the current batch and returns the context's cause; the same call resumes from there.
// Errors in model and data are found before the folder is changed. When another process writes to the folder, the error wraps
// outdir.ErrLocked.
func Run(ctx context.Context, host runtime.Host, c Config) (*Report, error) {
	start := time.Now()
	if c.Shard == (results.Shard{}) {
		c.Shard.Of = 1
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
	x, err := prepare(ctx, host, c)
	if err != nil {
		return nil, err
	}
	d, err := outdir.Open(c.Dir, RowsFile, spoolFile)
	if err != nil {
		return nil, fmt.Errorf("capture %q: %w", c.Dir, err)
	}
	r := &Report{Prompts: len(x.prompts)}
	err = x.run(ctx, r, start)
	r.Seconds.Total = time.Since(start).Seconds()
	if err = errors.Join(err, d.Close()); err != nil && context.Cause(ctx) == nil {
		err = hint.With(fmt.Errorf("capture %q: %w", c.Dir, err), hint.Of(err))
	}
	return r, err
}

// capturing is a capture in progress.
type capturing struct {
	Config
	host     runtime.Host
	model    *steer.Model
	manifest *Manifest
	prompts  []prompt // of the shard
	shape    shape
	plan     *plan
	parts    []*part
	runner   *Runner // nil before the first run
}

// prepare reads all inputs of the capture and checks them.
func prepare(ctx context.Context, host runtime.Host, c Config) (*capturing, error) {
	if err := checkHooks(c.Hooks); err != nil {
		return nil, err
	}
	c.FileMiB = cmp.Or(c.FileMiB, FileMiB)
	if c.Limit < 0 || c.FileMiB < 0 || c.Shard.Of < 1 || c.Shard.Index < 0 || c.Shard.Index >= c.Shard.Of {
		return nil, fmt.Errorf("limit %d, files of %d MiB, shard %d of %d", c.Limit, c.FileMiB, c.Shard.Index, c.Shard.Of)
	}
	model, err := steer.New(ctx, host, c.Model, c.Options)
	if err != nil {
		return nil, err
	}
	if err := model.LoadTokenizer(); err != nil {
		return nil, err
	}
	model.Texts = memory.Texts{PromptBOS: c.PromptBOS}
	x := &capturing{Config: c, host: host, model: model, shape: shape{half: c.DType == graph.Float16.String()}}
	for _, h := range c.Hooks {
		dims, err := h.rowDims(model.Layout)
		if err != nil {
			return nil, err
		}
		x.shape.hooks = append(x.shape.hooks, HookFacts{h.Name(), dims})
	}
	texts, data, err := eval.ReadPrompts(c.Data)
	if err != nil {
		return nil, fmt.Errorf("data %q: %w", c.Data, err)
	}
	if c.Limit > 0 && c.Limit < len(texts) {
		texts = texts[:c.Limit]
	}
	for i := c.Shard.Index; i < len(texts); i += c.Shard.Of {
		p := prompt{index: i}
		if p.ids, err = model.Prompt(texts[i]); err != nil {
			return nil, hint.With(fmt.Errorf("data %q: prompt %d: %w", c.Data, i, err), hint.Of(err))
		}
		if c.Last {
			p.from = len(p.ids) - 1
		}
		x.prompts = append(x.prompts, p)
	}
	x.planFor(maxBatch)
	id, err := eval.Identify(c.Model, model.Layout)
	if err != nil {
		return nil, err
	}
	x.manifest = &Manifest{
		Format: manifestFormat, Version: manifestVersion, Tool: c.Tool, Model: id, Data: data, Prompts: len(texts), Hooks: x.shape.hooks,
		Positions: Positions[0], DType: c.DType, FileMiB: c.FileMiB, PromptBOS: c.PromptBOS, Rows: x.plan.rows, Files: len(x.plan.files), Shard: c.Shard, Host: c.Host,
	}
	if c.Last {
		x.manifest.Positions = Positions[1]
	}
	return x, nil
}

// planFor plans files and batches. Only the batches depend on most.
func (x *capturing) planFor(most int) {
	stored, wide := x.shape.rowBytes()
	x.plan = newPlan(x.prompts, stored, wide, int64(x.FileMiB)<<20, most)
}

func (x *capturing) run(ctx context.Context, r *Report, start time.Time) error {
	if err := x.resume(); err != nil {
		return err
	}
	statuses, err := x.finished()
	if err != nil {
		return err
	}
	for i := range statuses {
		r.Resumed += len(x.plan.files[i].prompts)
	}
	r.Rows, r.Files = x.plan.rows, len(x.plan.files)
	defer x.close()
	if len(statuses) < len(x.plan.files) || x.manifest.Batch.Prompts == 0 {
		if err := x.start(ctx); err != nil {
			return err
		}
	}
	r.Batch, r.Seconds.Load = x.manifest.Batch, time.Since(start).Seconds()
	x.Progress(r.Resumed, r.Prompts)
	for number := len(statuses); number < len(x.plan.files); number++ {
		bad, err := x.fill(ctx, number, r)
		if err != nil {
			return err
		}
		statuses = append(statuses, bad)
	}
	for _, bad := range statuses {
		r.NotFinite += len(bad)
	}
	if err := x.plan.writeRows(x.Dir, statuses, x.model.Token); err != nil {
		return err
	}
	return remove(filepath.Join(x.Dir, spoolFile))
}

// resume compares the manifest in the folder with that of this capture.
func (x *capturing) resume() error {
	m, err := ReadManifest(x.Dir)
	if missing(err) {
		for _, name := range []string{vector.ShardName(0), RowsFile} {
			if _, err := os.Lstat(filepath.Join(x.Dir, name)); err == nil {
				return hint.With(fmt.Errorf("found %s but no %s: the folder was not written by this program", name, outdir.ManifestFile), "give another folder")
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	x.manifest.Batch = m.Batch
	if diff := outdir.Diff(*m, *x.manifest); diff != "" {
		return hint.With(fmt.Errorf("the folder holds another capture: %s", diff), "give another folder, or the flags with which the folder was created")
	}
	x.planFor(m.Batch.Prompts)
	return nil
}

// finished checks the files of the folder, which are the first ones of the plan, and returns the statuses of their rows.
func (x *capturing) finished() ([]map[int]string, error) {
	var out []map[int]string
	for number := range x.plan.files {
		bad, err := x.shape.checkFile(x.Dir, number, &x.plan.files[number])
		if missing(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		out = append(out, bad)
	}
	return out, nil
}

// start opens the folders of parts, or the runner. A new capture decides here whether prompts run together, and writes its
// manifest.
func (x *capturing) start(ctx context.Context) error {
	for _, dir := range x.From {
		p, err := openPart(dir, &x.shape, x.manifest)
		if err != nil {
			return hint.With(fmt.Errorf("take values from %q: %w", dir, err), hint.Of(err))
		}
		x.parts = append(x.parts, p)
	}
	if x.parts == nil {
		if err := x.open(ctx); err != nil {
			return err
		}
	}
	switch {
	case x.manifest.Batch.Prompts > 0: // a folder that exists
		return nil
	case x.parts != nil:
		x.manifest.Batch = x.parts[0].batch
	default:
		if err := x.choose(ctx); err != nil {
			return err
		}
	}
	x.planFor(x.manifest.Batch.Prompts)
	return x.manifest.write(x.Dir)
}

// open opens the runner.
func (x *capturing) open(ctx context.Context) (err error) {
	if x.runner, err = OpenRunner(ctx, x.host, x.Model, x.Options, x.Hooks); err != nil {
		return err
	}
	return x.runner.accepts(x.prompts)
}

// choose decides whether prompts run together.
func (x *capturing) choose(ctx context.Context) error {
	x.manifest.Batch.Prompts = maxBatch
	if ids := x.plan.sample(); ids != nil {
		if err := x.runner.compare(ctx, ids); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil {
			x.manifest.Batch = Batch{1, err.Error()}
		}
	}
	return nil
}

func (x *capturing) close() {
	for _, p := range x.parts {
		p.close()
	}
	if x.runner != nil {
		x.runner.Close()
	}
}

// values returns the values of a batch, from the folders of parts when they have all of its prompts, and otherwise from a run.
func (x *capturing) values(ctx context.Context, prompts []*prompt, r *Report) (values, error) {
	var from []*part
	for _, p := range prompts {
		if i := slices.IndexFunc(x.parts, func(q *part) bool { _, ok := q.prompts[p.index]; return ok }); i >= 0 {
			from = append(from, x.parts[i])
		}
	}
	if len(from) == len(prompts) {
		r.Taken += len(prompts)
		return func(hook, i int) ([]byte, []status, error) { return from[i].read(prompts[i].index, hook) }, nil
	}
	if x.runner == nil {
		if err := x.open(ctx); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	computed, err := x.runner.Run(context.WithoutCancel(ctx), idsOf(prompts))
	r.Seconds.Run += time.Since(began).Seconds()
	r.Done += len(prompts)
	return x.shape.ran(prompts, computed), err
}

// fill runs the batches of a file that are not in the spool, writes the file, and returns the statuses of its rows.
func (x *capturing) fill(ctx context.Context, number int, r *Report) (bad map[int]string, err error) {
	f := &x.plan.files[number]
	var lengths []int64
	for _, batch := range f.batches {
		lengths = append(lengths, x.shape.recordBytes(x.plan, f, batch))
	}
	s, err := openSpool(filepath.Join(x.Dir, spoolFile), number, lengths)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, batch := range f.batches[:s.done] {
		r.Resumed += len(batch)
	}
	for at := s.done; at < len(f.batches); at++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		prompts := x.plan.of(f, f.batches[at])
		got, err := x.values(ctx, prompts, r)
		var record []byte
		if err == nil {
			record, err = x.shape.record(x.plan, f, number, at, got)
		}
		if err != nil {
			return nil, fmt.Errorf("prompt %d: %w", prompts[0].index, err)
		}
		if err := s.append(record); err != nil {
			return nil, err
		}
		x.Progress(r.Resumed+r.Done+r.Taken, r.Prompts)
	}
	if bad, err = x.shape.writeFile(x.Dir, number, x.plan, s.f); err != nil {
		return nil, err
	}
	return bad, s.empty()
}
