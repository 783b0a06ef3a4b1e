package eval

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// evaluation is an evaluation in progress.
type evaluation struct {
	Config
	bench   bench
	data    *Data
	sources []*Source
	encode  *encoder
	rows    []int                         // indexes of the prompts of this shard
	asked   map[int]question              // by index
	onehop  map[int][]int64               // tokens of the one-hop prompts
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
	if err := c.check(model.Layout.Layers); err != nil {
		return nil, err
	}
	if c.Top > model.Layout.Vocab && model.Layout.Vocab > 0 {
		return nil, fmt.Errorf("want the %d likeliest tokens, but the vocabulary has %d", c.Top, model.Layout.Vocab)
	}
	if c.Layers == nil {
		for l := range model.Layout.Layers {
			c.Layers = append(c.Layers, l)
		}
	}
	if err := c.checkSite(model.Layout); err != nil {
		return nil, err
	}
	e := &evaluation{Config: c, bench: bench{model, host, c.Options, c.Site, c.Layers, c.Positions, c.Top}, asked: map[int]question{}, onehop: map[int][]int64{}, model: identity}
	e.encode = newEncoder(model, c.Encoding, c.Convention, c.Layers)
	if e.data, err = readData(c.Data, part{rows: c.Limit, entities: slices.Contains(c.Memories, "wrong")}); err != nil {
		return nil, err
	}
	for _, spec := range c.Memories {
		s, err := openSource(spec, sourceInput{e.data, model.Layout.Layers, len(c.Taus)})
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(e.sources, func(o *Source) bool { return o.Name == s.Name }) {
			return nil, hint.With(fmt.Errorf("memory %q was given twice", s.Name), "rows are identified by this name, which has no folder: rename one of the two files")
		}
		e.sources = append(e.sources, s)
		for _, m := range s.at(0, 0, 0) { // vectors come from files, and every prompt uses the whole file
			if err := e.encode.look(m); err != nil {
				return nil, err
			}
		}
	}
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
	e.asked[i] = q
	_, _, err = e.Positions.Within(len(q.ids))
	return err
}

// manifest describes the evaluation; it contains the plan only when the user selected one.
func (e *evaluation) manifest() (*results.Manifest, error) {
	m := &results.Manifest{
		Version: results.ManifestVersion, Tool: e.Tool, Data: e.data.File, Prompts: e.prompts(), Layers: e.Layers, Taus: e.Taus,
		Encoding: string(e.Encoding), Convention: string(e.Convention), Positions: e.Positions.String(), Texts: e.Texts,
		Top: e.Top, First: e.First, Shard: e.Shard, Host: e.Host,
	}
	if e.Site != models.DefaultSite {
		m.Site = string(e.Site)
	}
	if e.Plan != Auto {
		m.Plan.Used = e.Plan
	}
	for _, s := range e.sources {
		m.Memories = append(m.Memories, s.Source)
	}
	var err error
	m.Model, err = e.model()
	return m, err
}
