package published

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// The headline of the paper's abstract and of the authors' README: "up to 424 %".
const claimed = 4.24

// headline is the cell of the headline, according to the scripts that inject random words at the best cells.
var headline = struct {
	model, data, encoding, source string
	layer                         int
	tau                           float64
}{"gpt2-small", dataFiles["2wmh"], "unembed", "curated", 6, 5}

// Claim compares the headline of the paper with the published file of its cell. Numbers are fractions: 4.24 is "+424 %".
type Claim struct {
	Model    string  `json:"model"`
	Data     string  `json:"data"`
	Encoding string  `json:"encoding"`
	Layer    int     `json:"layer"`
	Tau      float64 `json:"tau"`

	Claimed float64      `json:"claimed"`
	Effect  stats.Effect `json:"effect"` // from the file; compare Rejected, the paper's rule, with Claimed

	Largest int       `json:"largest"`         // number of changes that the paper's rule drops: the 99th percentile and above
	Share   float64   `json:"share"`           // their share of the sum of all changes
	Without []float64 `json:"without_largest"` // mean change without the largest 0, 1, 2, … Largest changes
	Why     string    `json:"why"`             // in words
}

// Headline finds the cell of the headline in runs; false when they do not contain it.
func Headline(runs []*results.Run) (*Claim, bool, error) {
	i := slices.IndexFunc(runs, func(r *results.Run) bool {
		m := r.Manifest
		return m != nil && m.Model.Name == headline.model && m.Data.Name == headline.data && m.Encoding == headline.encoding &&
			slices.Contains(m.Layers, headline.layer) && slices.Contains(m.Taus, headline.tau) &&
			slices.ContainsFunc(m.Memories, func(s results.Source) bool { return s.Name == headline.source })
	})
	if i < 0 {
		return nil, false, nil
	}
	at := stats.At{Run: runs[i], Point: results.Point{Source: headline.source, Layer: headline.layer, Tau: headline.tau}}
	effect, err := at.Effect()
	if err != nil {
		return nil, false, fmt.Errorf("check the headline: %w", err)
	}
	effects, err := stats.Changes(at)
	if err != nil {
		return nil, false, fmt.Errorf("check the headline: %w", err)
	}
	c := &Claim{
		Model: headline.model, Data: headline.data, Encoding: headline.encoding, Layer: headline.layer, Tau: headline.tau,
		Claimed: claimed, Effect: effect, Largest: effect.N - effect.Kept,
	}
	var changes []float64
	total := 0.0
	for _, e := range effects {
		changes = append(changes, e.Change)
		total += e.Change
	}
	slices.Sort(changes)
	rest := total
	for k := 0; k <= c.Largest && k < len(changes); k++ {
		c.Without = append(c.Without, rest/float64(len(changes)-k))
		rest -= changes[len(changes)-1-k]
	}
	for _, v := range changes[len(changes)-c.Largest:] {
		c.Share += v / total
	}
	c.Why = fmt.Sprintf("The paper's scripts name layer %d and tau %g as the best cell of %s on %s. The published file of this cell gives %+.0f %% by the "+
		"paper's own rule. A few prompts whose probability without a memory is tiny dominate the mean: without the largest 0, 1 and 2 of %d changes it is "+
		"%+.0f, %+.0f and %+.0f %%. The published files do not show which choice led to %+.0f %%.",
		c.Layer, c.Tau, c.Model, c.Data, 100*float64(effect.Rejected), len(changes),
		100*c.withoutLargest(0), 100*c.withoutLargest(1), 100*c.withoutLargest(2), 100*c.Claimed)
	return c, true, nil
}

// withoutLargest is the mean change without the largest k changes, or without as many as there are.
func (c *Claim) withoutLargest(k int) float64 { return c.Without[min(k, len(c.Without)-1)] }
