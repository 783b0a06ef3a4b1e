package eval

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// evaluation is an evaluation in progress.
type evaluation struct {
	Config
	bench   bench
	grid    *results.Manifest    // the part of the manifest that the grid follows from
	also    []intervention.Entry // Also as the manifest has them, without folders
	files   []results.File       // of their vectors
	data    *Data
	columns []string // names of the further columns of the data in the results
	sources []*Source
	encode  *encoder
	rows    []int                         // indexes of the prompts of this shard
	asked   map[int]question              // by index, and the texts of side effects by their keys
	told    map[int]told                  // by index
	side    results.SideTexts             // zero without side effects
	texts   []foreign                     // of side effects
	onehop  map[int][]int64               // tokens of the one-hop prompts
	lengths map[int][]float64             // of the model's own values, by prompt and place; for TauNorm
	model   func() (results.Model, error) // waits for Identify
}

// prepare reads all inputs of the evaluation and checks them.
func prepare(ctx context.Context, host runtime.Host, c Config) (*evaluation, error) {
	model, err := steer.New(ctx, host, c.Model, c.Options)
	if err != nil {
		return nil, err
	}
	identity := later(func() (results.Model, error) { return Identify(c.Model, model.Layout) })
	if err := model.LoadTokenizer(); err != nil {
		return nil, err
	}
	model.Texts = c.Texts
	if err := c.complete(model.Layout); err != nil {
		return nil, err
	}
	if c.Top > model.Layout.Vocab && model.Layout.Vocab > 0 {
		return nil, fmt.Errorf("want the %d likeliest tokens, but the vocabulary has %d", c.Top, model.Layout.Vocab)
	}
	b := bench{model: model, host: host, options: c.Options, op: c.Op, sites: c.Sites, top: c.Top,
		late: c.Phrase || c.Positions != intervention.AllPositions}
	for _, site := range c.Sites {
		for _, layer := range c.Layers {
			b.places = append(b.places, models.BakedAt{Site: site, Layer: layer})
		}
	}
	e := &evaluation{Config: c, bench: b, asked: map[int]question{}, told: map[int]told{}, onehop: map[int][]int64{}, lengths: map[int][]float64{}, model: identity}
	e.encode = newEncoder(model, c.Encoding, c.Convention, b.places)
	if e.data, err = readData(c.Data, partOf(&c)); err != nil {
		return nil, err
	}
	if e.columns, err = e.data.keep(); err != nil {
		return nil, hint.With(fmt.Errorf("data %q: %w", c.Data, err), hint.Of(err))
	}
	for _, spec := range c.Memories {
		s, err := openSource(spec, sourceInput{data: e.data, layers: model.Layout.Layers, taus: len(c.Taus)})
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(e.sources, func(o *Source) bool { return o.Name == s.Name }) {
			return nil, hint.With(fmt.Errorf("memory %q was given twice", s.Name), "rows are identified by this name, which has no folder: rename one of the two files")
		}
		e.sources = append(e.sources, s)
	}
	if err := e.checkSources(); err != nil {
		return nil, err
	}
	e.bench.pairs = e.data.pairs > 1 && slices.ContainsFunc(e.sources, func(s *Source) bool { return s.pairs })
	e.encode.looked = e.looked()
	if err := e.identifyAlso(); err != nil {
		return nil, err
	}
	if err := e.readSide(); err != nil {
		return nil, err
	}
	e.grid = e.describe()
	for i := range e.prompts() {
		if i%c.Shard.Of == c.Shard.Index {
			e.rows = append(e.rows, i)
		}
	}
	for _, i := range e.rows {
		if err := e.ask(i); err != nil {
			return nil, hint.With(fmt.Errorf("data %q: prompt %d: %w", c.Data, i, err), hint.Of(err))
		}
	}
	return e, nil
}

// prompts is the number of rows of the data to evaluate.
func (e *evaluation) prompts() int {
	if e.Limit > 0 {
		return min(e.data.Count, e.Limit)
	}
	return e.data.Count
}

// ask converts the texts of a row to tokens.
func (e *evaluation) ask(i int) (err error) {
	row := e.data.Rows[i]
	var q question
	if q.ids, err = e.bench.model.Prompt(row.TwoHop); err != nil {
		return err
	}
	if e.Texts.AnswerSpace && strings.HasPrefix(row.Answer, " ") { // with another space, its first token would be a space alone
		return hint.With(fmt.Errorf("answer %q begins with a space, and the program adds another", row.Answer), "--answer-space=false uses answers unchanged")
	}
	if q.answer, err = e.bench.model.Answer(row.Answer); err != nil {
		return err
	}
	if row.OneHop != "" {
		if e.onehop[i], err = e.bench.model.Prompt(row.OneHop); err != nil {
			return err
		}
	}
	if e.Phrase {
		var at [][]intervention.Positions
		if at, err = e.phrases(row.Prompt, q.ids); len(at) > 0 {
			q.at, q.more = at[0], at[1:]
		}
	} else {
		q.at, err = e.bench.model.Find(e.Positions, q.ids)
	}
	if err != nil {
		return err
	}
	if e.Told {
		if e.told[i], err = e.tell(row.Prompt); err != nil {
			return err
		}
	}
	e.asked[i] = q
	for _, at := range q.at {
		if _, _, err := at.Within(len(q.ids)); err != nil {
			return err
		}
	}
	return nil
}

// identifyAlso names the other interventions by what they are, and not by where their vectors are.
func (e *evaluation) identifyAlso() error {
	for _, entry := range e.Also {
		if entry.Memory != nil && entry.Memory.Vector != "" {
			m := *entry.Memory
			path, _ := vector.File(m.Vector)
			file, err := identify(path)
			if err != nil {
				return err
			}
			folder, name, named := strings.Cut(m.Vector, "#")
			if m.Vector = filepath.Base(folder); named {
				m.Vector += "#" + name
			}
			entry.Memory, e.files = &m, append(e.files, *file)
		}
		e.also = append(e.also, entry)
	}
	return nil
}

// manifest describes the evaluation.
func (e *evaluation) manifest() (*results.Manifest, error) {
	m := e.describe()
	var err error
	m.Model, err = e.model()
	return m, err
}

// describe is manifest without the model, which takes time. It contains the plan only when the user selected one.
func (e *evaluation) describe() *results.Manifest {
	m := &results.Manifest{
		Version: results.ManifestVersion, Tool: e.Tool, Data: e.data.File, PromptColumn: e.Column, Prompts: e.prompts(),
		Heads: e.Heads, Interventions: e.also, InterventionFiles: e.files, Layers: e.Layers, Taus: e.Taus,
		Encoding: string(e.Encoding), Convention: string(e.Convention), Positions: e.positions(), Told: e.Told, Texts: e.Texts,
		Top: e.Top, First: e.First, Shard: e.Shard, Host: e.Host,
	}
	if e.Op != intervention.Add {
		m.Op = e.Op
	}
	if !slices.Equal(e.Sites, []models.PortKind{models.DefaultSite}) {
		m.Sites = e.Sites
	}
	if e.TauUnit != steer.TauRaw {
		m.TauUnit = string(e.TauUnit)
	}
	if e.Plan != Auto {
		m.Plan.Used = e.Plan
	}
	m.SideEffects = e.side
	if e.data.pairs > 1 {
		m.Pairs = e.data.pairs
	}
	if len(e.columns) > 0 {
		m.Columns = e.columns
	}
	for _, s := range e.sources {
		m.Memories = append(m.Memories, s.Source)
	}
	return m
}
