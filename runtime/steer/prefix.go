package steer

import (
	"context"
	"maps"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// prefix computes the keys and values of the first positions of a prompt once for all runs that begin after them.
type prefix struct {
	session *decoder.Session
	carries []inputs.Carry
	one     bool                     // several rows go on by one position only
	ids     []int64                  // the positions that past belongs to
	past    map[string]*graph.Tensor // their keys and values in one row, by cache input
}

func newPrefix(s *decoder.Session) prefix {
	p := prefix{session: s}
	if s.Signature.Length == 0 { // a file that takes a fixed number of tokens runs whole
		p.carries, _ = s.Signature.Cache() // without its outputs there is nothing to share
		p.one = slices.ContainsFunc(p.carries, func(c inputs.Carry) bool { return c.OneAfter })
	}
	return p
}

// before returns how many positions of a prompt of n tokens can be computed before the runs of some plans: those before the first
// change. The last position always runs.
func (p *prefix) before(n int, plans []intervention.Plan) (int, error) {
	if len(p.carries) == 0 {
		return 0, nil
	}
	first := n - 1
	for _, plan := range plans {
		for _, c := range plan {
			from, _, err := c.Positions.Within(n)
			if err != nil {
				return 0, err
			}
			first = min(first, from)
		}
	}
	if p.one && first < n-1 {
		return 0, nil
	}
	return first, nil
}

// run computes the keys and values of some positions, with everything off, unless they are those of the last call. more holds
// the inputs that the signature does not know.
func (p *prefix) run(ctx context.Context, ids []int64, more map[string]*graph.Tensor) error {
	if slices.Equal(p.ids, ids) {
		return nil
	}
	feeds, err := p.session.Signature.Feeds([][]int64{ids})
	if err != nil {
		return err
	}
	maps.Copy(feeds, more)
	var want []string
	for _, c := range p.carries {
		want = append(want, c.Present)
	}
	out, err := p.session.Run(ctx, feeds, want...)
	if err != nil {
		return err
	}
	p.ids, p.past = slices.Clone(ids), map[string]*graph.Tensor{}
	for _, c := range p.carries {
		p.past[c.Past] = out[c.Present]
	}
	return nil
}
