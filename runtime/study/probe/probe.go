package probe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Class is what a model gets right of a two-hop question.
type Class string

// The classes.
const (
	Succeeds    Class = "succeeds"
	LacksHop2   Class = "lacks hop 2"
	NoBetter    Class = "one hop is no better"
	Correctable Class = "can be corrected"
)

// Classes lists the classes in the order in which they are tested, each with its definition.
var Classes = []struct {
	Class Class
	Doc   string
	is    func(two, one Score) bool
}{
	{Succeeds, "the answer has rank 0 after the two-hop prompt", func(two, _ Score) bool { return two.Rank == 0 }},
	{LacksHop2, fmt.Sprintf("the answer has rank %d or more after the one-hop prompt", stats.UnknownRank), func(_, one Score) bool { return one.Rank >= stats.UnknownRank }},
	{NoBetter, "the answer is at most as likely after the one-hop prompt as after the two-hop prompt", func(two, one Score) bool { return one.LogP <= two.LogP }},
	{Correctable, "all others: the one-hop prompt makes the answer more likely", func(Score, Score) bool { return true }},
}

// Classify returns the class of a prompt from the scores of its answer after two hops and after one.
func Classify(two, one Score) Class {
	for _, c := range Classes {
		if c.is(two, one) {
			return c.Class
		}
	}
	panic("probe: the last class fits everything")
}

// Score is how likely a token is after a prompt.
type Score struct {
	Token string  `json:"token"`
	Rank  int     `json:"rank"` // 0 is the most likely token
	LogP  float64 `json:"logp"`
	P     float64 `json:"p"`
}

// Row is what was found for one prompt.
type Row struct {
	Index  int     `json:"index"` // the row of the data, from 0
	Prompt string  `json:"prompt"`
	OneHop string  `json:"one_hop"`
	Answer string  `json:"answer"`
	Entity string  `json:"entity,omitempty"`
	Hop1   string  `json:"hop1_prompt,omitempty"` // the description and " is"; "" if the data has no description or no entity
	Two    Score   `json:"score_two_hops"`
	One    Score   `json:"score_hop2"`
	First  *Score  `json:"score_hop1,omitempty"` // of the entity
	Gap    float64 `json:"gap"`                  // One.LogP - Two.LogP, in nats
	Class  Class   `json:"class"`
}

// Count is how many prompts a class has.
type Count struct {
	Class   Class  `json:"class"`
	Doc     string `json:"definition"`
	Prompts int    `json:"prompts"`
}

// Hop1 counts how often two-hop prompts succeed when the entity is the most likely token of hop 1, and when it is not.
type Hop1 struct {
	First          int `json:"entity_first"` // prompts whose entity has rank 0
	FirstSucceeds  int `json:"entity_first_succeeds"`
	Others         int `json:"entity_not_first"`
	OthersSucceeds int `json:"entity_not_first_succeeds"`
}

// Report is what [Run] found.
type Report struct {
	Model   string  `json:"model"`
	Classes []Count `json:"classes"` // in the order in which they are tested
	Hop1    *Hop1   `json:"hop1,omitempty"`
	MeanTwo float64 `json:"mean_p_two_hops"`
	MeanOne float64 `json:"mean_p_hop2"`
	Rows    []Row   `json:"rows"`
}

// Check refuses data that lacks a text.
func Check(prompts []results.Prompt) error {
	if len(prompts) == 0 {
		return errors.New("no prompts")
	}
	for _, p := range prompts {
		if p.OneHop == "" {
			return hint.With(fmt.Errorf("prompt %d: want a one-hop prompt, got none", p.Index), "it is the column explicit_sentence")
		}
	}
	return nil
}

// Run probes every prompt. step is called after each with how many are done.
func Run(ctx context.Context, m *steer.Model, prompts []results.Prompt, step func(done, all int)) (*Report, error) {
	if err := Check(prompts); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(m.Decoder.Folder.Model)
	if err != nil {
		return nil, err
	}
	r := &Report{Model: filepath.Base(filepath.Dir(path))}
	p := &prober{ctx: ctx, model: m, seen: map[[2]string]Score{}}
	counts := map[Class]int{}
	for i, x := range prompts {
		row, err := p.row(x)
		if err != nil {
			return nil, fmt.Errorf("prompt %d: %w", x.Index, err)
		}
		counts[row.Class]++
		r.MeanTwo += row.Two.P / float64(len(prompts))
		r.MeanOne += row.One.P / float64(len(prompts))
		r.count(row)
		r.Rows = append(r.Rows, row)
		step(i+1, len(prompts))
	}
	for _, c := range Classes {
		r.Classes = append(r.Classes, Count{c.Class, c.Doc, counts[c.Class]})
	}
	return r, nil
}

// count adds a row to the counts of hop 1.
func (r *Report) count(row Row) {
	if row.First == nil {
		return
	}
	if r.Hop1 == nil {
		r.Hop1 = &Hop1{}
	}
	all, succeeds := &r.Hop1.Others, &r.Hop1.OthersSucceeds
	if row.First.Rank == 0 {
		all, succeeds = &r.Hop1.First, &r.Hop1.FirstSucceeds
	}
	*all++
	if row.Class == Succeeds {
		*succeeds++
	}
}

// prober remembers what it asked: descriptions and one-hop prompts are shared by many rows.
type prober struct {
	ctx   context.Context
	model *steer.Model
	seen  map[[2]string]Score
}

func (p *prober) row(x results.Prompt) (row Row, err error) {
	row = Row{Index: x.Index, Prompt: x.TwoHop, OneHop: x.OneHop, Answer: x.Answer, Entity: x.ExplicitEntity}
	if row.Two, err = p.score(x.TwoHop, x.Answer); err != nil {
		return row, err
	}
	if row.One, err = p.score(x.OneHop, x.Answer); err != nil {
		return row, fmt.Errorf("one hop: %w", err)
	}
	if entity := strings.TrimLeft(x.ExplicitEntity, " "); entity != "" && x.ObscureEntity != "" {
		row.Hop1 = x.ObscureEntity + " is"
		first, err := p.score(row.Hop1, entity)
		if err != nil {
			return row, fmt.Errorf("hop 1: %w", err)
		}
		row.First = &first
	}
	row.Gap, row.Class = row.One.LogP-row.Two.LogP, Classify(row.Two, row.One)
	return row, nil
}

// score asks for the first token of an answer after a prompt.
func (p *prober) score(prompt, answer string) (Score, error) {
	key := [2]string{prompt, answer}
	if s, ok := p.seen[key]; ok {
		return s, nil
	}
	s, err := Ask(p.ctx, p.model, prompt, answer)
	if err == nil {
		p.seen[key] = s
	}
	return s, err
}

// Ask returns how likely the first token of an answer is after a prompt, without any memory.
func Ask(ctx context.Context, m *steer.Model, prompt, answer string) (Score, error) {
	r, err := m.Run(ctx, steer.Query{Prompt: prompt, Answer: answer})
	if err != nil {
		return Score{}, err
	}
	a := r.Answer
	return Score{Token: a.Token, Rank: a.RankClean, LogP: a.LogPClean, P: math.Exp(a.LogPClean)}, nil
}
