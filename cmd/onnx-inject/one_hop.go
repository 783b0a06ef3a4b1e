package main

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/probe"
)

// oneHopJSON is what the model answers when the missing hop is spelled out.
type oneHopJSON struct {
	Prompt string      `json:"prompt"`
	Rank   int         `json:"rank"`
	LogP   number      `json:"logp"`
	P      number      `json:"p"`
	Class  probe.Class `json:"class"` // of the prompt without a memory
}

// askOneHop asks the prompt of --one-hop. r has the scores of the two-hop prompt.
func askOneHop(c *call, s *steer.Model, q steer.Query, r *steer.Result) (*oneHopJSON, error) {
	one, err := probe.Ask(c.ctx, s, c.String("one-hop"), q.Answer)
	if err != nil {
		return nil, fmt.Errorf("one hop: %w", err)
	}
	two := probe.Score{Rank: r.Answer.RankClean, LogP: r.Answer.LogPClean}
	return &oneHopJSON{c.String("one-hop"), one.Rank, number(one.LogP), number(one.P), probe.Classify(two, one)}, nil
}

func (x *oneHopJSON) print(p *printer) {
	p.table([][]span{{text("one hop"), text("%s", quote(x.Prompt)), text("p %s  rank %d", probability(float64(x.P)), x.Rank)}})
	switch x.Class {
	case probe.LacksHop2:
		p.line(text("the model does not know the answer when the hop is spelled out either: a memory cannot supply it"))
	case probe.NoBetter:
		p.line(text("the answer is no more likely when the hop is spelled out: a memory of the hop may not help"))
	}
}
