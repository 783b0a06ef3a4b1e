package eval

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// evaluation is one at work.
type evaluation struct {
	Config
	bench   bench
	data    *Data
	sources []*Source
	encode  *encoder
	rows    []int                  // indexes of the prompts of this shard
	asked   map[int]question       // by index
	onehop  map[int][]int64        // tokens of the one-hop prompts
	sum     func() (string, error) // waits for hashModel
}

// prepare reads everything that is asked of the model.
func prepare(ctx context.Context, host runtime.Host, c Config) (*evaluation, error) {
	model, err := steer.New(ctx, host, c.Model, c.Options)
	if err != nil {
		return nil, err
	}
	sum := later(func() (string, error) { return hashModel(c.Model.Graph) })
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
	e := &evaluation{Config: c, bench: bench{model, host, c.Options, c.Positions, c.Top}, asked: map[int]question{}, onehop: map[int][]int64{}, sum: sum}
	e.encode = newEncoder(model, c.Encoding, c.Convention, c.Layers)
	if e.data, err = ReadData(c.Data); err != nil {
		return nil, err
	}
	for _, spec := range c.Memories {
		s, err := openSource(spec, sourceInput{e.data, model.Layout.Layers, len(c.Taus)})
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(e.sources, func(o *Source) bool { return o.Name == s.Name }) {
			return nil, hint.With(fmt.Errorf("memory %q stands twice", s.Name), "rows are told apart by this name, which has no folder: rename one of two files")
		}
		e.sources = append(e.sources, s)
		for _, m := range s.at(0, 0, 0) { // vectors come from files, which every prompt has the whole of
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
	if e.Texts.AnswerSpace && strings.HasPrefix(row.Answer, " ") { // it would count by a space alone
		return hint.With(fmt.Errorf("answer %q begins with a space, and another is put in front of it", row.Answer), "--answer-space=false takes answers as they are")
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
	l, folder := e.bench.model.Layout, e.Model.Folder
	m := &results.Manifest{
		Version: results.ManifestVersion, Tool: e.Tool, Data: e.data.File, Prompts: e.prompts(), Layers: e.Layers, Taus: e.Taus,
		Encoding: string(e.Encoding), Convention: string(e.Convention), Positions: e.Positions.String(), Texts: e.Texts,
		Top: e.Top, First: e.First, Shard: e.Shard, Host: e.Host,
		Model: results.Model{
			Name: modelName(e.Model.Path, folder.Model), Family: l.Family, Variant: l.Exporter,
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
	if m.Model.SHA256, err = e.sum(); err != nil {
		return nil, err
	}
	m.Model.Tokenizer, err = HashTokenizer(folder.TokenizerDir)
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
