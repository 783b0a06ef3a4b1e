package eval

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

//go:embed side_english.txt
var englishTexts string

// sideTexts are the built-in texts for [Config.SideEffects], by name.
var sideTexts = map[string]func() []string{
	"demo":    demo.Texts,
	"english": func() []string { return strings.Split(strings.TrimSpace(englishTexts), "\n") },
}

// foreign is a text of side effects: the first half is the prompt, the second half what follows it. The texts follow the prompts of the
// data, in the maps of an evaluation: text i has the key -1-i.
type foreign struct {
	ids    []int64
	half   int // tokens of the first half
	prompt int // whose memories act on the text
}

// sideKey is the key of a text, and textOf the text of a key.
func sideKey(text int) int { return -1 - text }
func textOf(key int) int   { return -1 - key }

// owner returns the prompt whose memories the prompt or text of a key has.
func (e *evaluation) owner(key int) int {
	if key < 0 {
		return e.texts[textOf(key)].prompt
	}
	return key
}

// readSide reads the texts of side effects and decides where the changes act on them.
func (e *evaluation) readSide() error {
	if e.SideEffects == "" {
		return nil
	}
	for _, entry := range e.Also {
		if p, err := intervention.ParsePositions(entry.Positions); entry.Positions != "" && err == nil && p.InText() {
			return hint.With(fmt.Errorf("side effects: an intervention has the positions %s, which other texts do not have", entry.Positions), "evaluate it without side effects, or give positions that every text has")
		}
	}
	texts, file, err := readSideTexts(e.SideEffects)
	if err != nil {
		return err
	}
	e.side = results.SideTexts{File: file, Texts: len(texts), Positions: e.positions()}
	if e.middle() {
		e.side.Positions = results.Middle
	}
	for i, text := range texts {
		if err := e.readForeign(i, len(texts), text); err != nil {
			return hint.With(fmt.Errorf("side effects: text %d of %s: %w", i, file.Name, err), hint.Of(err))
		}
	}
	return nil
}

// readSideTexts returns the texts of a file or a built-in list.
func readSideTexts(arg string) ([]string, results.File, error) {
	if list := sideTexts[arg]; list != nil {
		texts := list()
		return texts, results.File{Name: arg, SHA256: hashText([]byte(strings.Join(texts, "\n")))}, nil
	}
	texts, file, err := ReadPrompts(arg)
	if err != nil {
		err = hint.With(fmt.Errorf("side effects: %w", err), "give a .txt file with one text per line, FILE.csv#COLUMN, or one of the built-in lists: demo, english")
	}
	return texts, file, err
}

// middle reports whether the changes act on a token that only prompts have, so that they act on the middle of a text.
func (e *evaluation) middle() bool {
	return e.Phrase || e.Positions.InText() || e.Positions == intervention.LastPosition
}

func (e *evaluation) readForeign(text, of int, s string) error {
	ids, err := e.bench.model.Prompt(s)
	if err != nil {
		return err
	}
	if len(ids) < 2 {
		return fmt.Errorf("want two tokens or more, got %d", len(ids))
	}
	f := foreign{ids: ids, half: (len(ids) + 1) / 2, prompt: text * e.prompts() / of}
	q := question{ids: ids[:f.half], at: []intervention.Positions{e.Positions}}
	if e.middle() {
		q.at[0] = intervention.LastPosition
	}
	if _, _, err := q.at[0].Within(f.half); err != nil {
		return fmt.Errorf("its first half: %w", err)
	}
	if more := len(e.data.Rows[f.prompt].More); e.bench.pairs && more > 0 { // the last memory in the middle, the others before it
		var at [][]intervention.Positions
		for i := range more + 1 {
			p, err := intervention.ParsePositions(strconv.Itoa(max(0, f.half-1-more+i)))
			if err != nil {
				return err
			}
			at = append(at, []intervention.Positions{p})
		}
		if f.half <= more {
			return fmt.Errorf("want a token for each of %d memories in its first half, got %d tokens", more+1, f.half)
		}
		q.at, q.more = at[0], at[1:]
	}
	e.texts = append(e.texts, f)
	e.asked[sideKey(text)] = q
	return nil
}

// runSide measures the side effects of every cell on the texts.
func (e *evaluation) runSide(ctx context.Context, w *results.Writer, texts []int) error {
	for n, i := range texts {
		e.Progress(Progress{Stage: SideEffects, Done: n, All: len(texts)})
		effects, err := e.sideEffects(ctx, i)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("side effects: text %d: %w", i, err)
		}
		if err := w.AppendText(effects); err != nil {
			return err
		}
	}
	e.Progress(Progress{Stage: SideEffects, Done: len(texts), All: len(texts)})
	return e.bench.model.Unload()
}

// sideEffects runs a text clean and with the change of each cell, one run each.
func (e *evaluation) sideEffects(ctx context.Context, text int) ([]results.SideEffect, error) {
	f, q := e.texts[text], e.asked[sideKey(text)]
	rows, cells, err := e.cells(sideKey(text))
	if err != nil {
		return nil, err
	}
	ports := slices.Clone(q.also)
	for _, c := range cells {
		ports = append(ports, e.bench.changes(q, c)...)
	}
	run := func(p intervention.Plan) ([][]float32, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return e.bench.model.Logits(ctx, ports, p, f.ids, f.half)
	}
	logits, err := run(nil)
	if err != nil {
		return nil, err
	}
	clean := newPredictions(logits)
	var out []results.SideEffect
	for i, c := range cells {
		plan := e.bench.plan(q, c)
		s := results.SideEffect{Cell: rows[i], Text: text, From: f.half - 1}
		s.Prompt, s.Encoding = f.prompt, ""
		for _, x := range plan {
			from, _, err := x.Positions.Within(f.half)
			if err != nil {
				return nil, err
			}
			s.From = min(s.From, from)
		}
		if s.Positions = len(f.ids) - s.From; s.Positions < 2 {
			return nil, errors.New("want a token after the one that changes, got none")
		}
		if logits, err = run(plan); err != nil {
			return nil, err
		}
		s.KL, s.CleanNLL, s.NLL = clean.compare(logits, f.ids, s.From)
		s.Score = results.Score{Status: status(s.KL + s.CleanNLL + s.NLL).Status}
		if !s.OK() {
			s.KL, s.CleanNLL, s.NLL = math.NaN(), math.NaN(), math.NaN()
		}
		out = append(out, s)
	}
	return out, nil
}

// predictions are the log-probabilities of all tokens at each position of a text.
type predictions [][]float64

func newPredictions(logits [][]float32) predictions {
	var x predictions
	for _, row := range logits {
		x = append(x, steer.LogSoftmax(row))
	}
	return x
}

// compare returns the mean of KL(x || logits) over the positions from one on, and the mean of -ln p of the tokens after it, by x and by
// the logits. The numbers are in nats.
func (x predictions) compare(logits [][]float32, ids []int64, from int) (kl, clean, changed float64) {
	for at := from; at < len(ids); at++ {
		if math.IsInf(float64(slices.Max(logits[at])), 1) { // the numbers left the range of their type
			return math.Inf(1), 0, 0
		}
		other := steer.LogSoftmax(logits[at])
		sum := 0.0
		for i, l := range x[at] {
			if p := math.Exp(l); p != 0 {
				sum += p * (l - other[i])
			}
		}
		if sum < 0 { // by rounding
			sum = 0
		}
		kl += sum / float64(len(ids)-from)
		if at+1 < len(ids) {
			n := float64(len(ids) - from - 1)
			clean -= x[at][ids[at+1]] / n
			changed -= other[ids[at+1]] / n
		}
	}
	return kl, clean, changed
}
