package stats

import (
	"encoding/json"
	"math"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Summary holds the statistics of several runs. It is the content of summary.json.
type Summary struct {
	Version   int      `json:"version"`   // of this format: 1
	Resamples int      `json:"resamples"` // for each interval
	Series    []Series `json:"series"`    // by run, then by source in the order of the run's cells
}

// Series is the cells of one run at one site whose memories come from one source.
type Series struct {
	Run        int             `json:"run"` // index of the summarized run, from 0
	Model      string          `json:"model"`
	Data       string          `json:"data"`
	Encoding   string          `json:"encoding"`
	Convention string          `json:"convention"`
	Positions  string          `json:"positions"`
	Op         intervention.Op `json:"op,omitempty"`   // what happens at the site; "" is add
	Site       models.PortKind `json:"site,omitempty"` // that is changed; "" is attn_out
	Source     string          `json:"source"`
	Harm       bool            `json:"harm,omitempty"` // the best cell is the one that lowers the answers most, as for ablate

	Prompts   int `json:"prompts"`           // prompts that have cells in this series
	Memories  int `json:"memories"`          // memories of one prompt at one layer and tau; the maximum when prompts differ
	Cells     int `json:"cells"`             // with or without a number
	NonFinite int `json:"non_finite"`        // cells without a number
	Skipped   int `json:"skipped,omitempty"` // cells of prompts that have no place for the memory
	NoClean   int `json:"no_clean"`          // prompts whose two-hop prompt has no number above 0 (in float32): they are not counted elsewhere

	TwoHop  Level   `json:"two_hop"`           // without a memory
	OneHop  *Level  `json:"one_hop,omitempty"` // the ceiling; nil when the data has no one-hop prompts
	Told    *Level  `json:"told,omitempty"`    // with the memory as text in front; nil when the run has no such prompts
	Telling *Effect `json:"telling,omitempty"` // of the memory as text, as if it were a memory; Layer is -1
	Ceiling *Effect `json:"ceiling,omitempty"` // of the one-hop prompt relative to the two-hop prompt, as if it were a memory; Layer is -1

	Layers []int          `json:"layers"`          // ascending
	Heads  []results.Head `json:"heads,omitempty"` // ascending; nil when the heads of a layer change together
	Taus   []float64      `json:"taus"`            // ascending
	Grid   [][]Effect     `json:"grid"`            // [layer][head x tau]: a line has the taus of the first head, then those of the second, …
	Peaks  []Peak         `json:"peaks"`           // by measure, then by layer
	Best   []Best         `json:"best"`            // by measure; a measure without any value is absent
	Usual  *Effect        `json:"usual,omitempty"` // of an entity memory: at the layer and tau that run takes, which no effect chose; nil for none

	SideEffects *SideEffects `json:"side_effects,omitempty"` // nil when they were not measured
}

// Name names the series within its run: what happens, the source of the memories, and the site where it is another than attn_out.
// It is "curated" for the paper's experiment.
func (s *Series) Name() string {
	name := s.Source
	switch {
	case s.Op != "" && !s.Op.UsesMemory():
		name = string(s.Op)
	case s.Op != "":
		name = string(s.Op) + " by " + s.Source
	}
	if s.Heads != nil {
		name += ", each head"
	}
	if s.Site != "" {
		name += " at " + string(s.Site)
	}
	return name
}

// Level is the model's score for the answers to one kind of prompt.
type Level struct {
	N          int    `json:"n"` // prompts with a number
	MeanP      Number `json:"mean_p"`
	MedianP    Number `json:"median_p"`
	Surprisal  Number `json:"surprisal"`   // mean of -ln(p), nats
	Ranked     int    `json:"ranked"`      // prompts whose rank is known
	MeanRank   Number `json:"mean_rank"`   // 0 is the most likely token
	MedianRank Number `json:"median_rank"` // …
	Top1       int    `json:"top1"`        // prompts whose answer is the most likely token
	Unknown    int    `json:"unknown"`     // prompts whose answer has rank UnknownRank or more
}

// UnknownRank is the rank of an answer from which the model does not know it. Of prompts of one hop, this is the second hop: where a model
// does not have it, a memory of the first one did not help (mean -0.09 nats in 30 of 106 prompts of SmolLM2-135M).
const UnknownRank = 10

// Effect is the effect of memories at one layer, head and tau. Changes are fractions: 0.5 is "50 % more".
type Effect struct {
	Layer     int          `json:"layer"`
	Head      results.Head `json:"head,omitzero"`
	Tau       float64      `json:"tau"`
	N         int          `json:"n"`          // prompts that count here
	NonFinite int          `json:"non_finite"` // cells without a number here

	MeanP        Number `json:"mean_p"`
	Change       Number `json:"change"`        // mean of (p-p0)/p0
	MedianChange Number `json:"median_change"` // median of the same
	Rejected     Number `json:"rejected"`      // the paper's measure; null when Kept is 0
	Kept         int    `json:"kept"`          // cells that the paper's rule keeps; 0 when all changes are equal
	Improved     int    `json:"improved"`      // prompts with p > p0
	Ratio        Number `json:"ratio"`         // mean(p)/mean(p0) - 1
	LogOdds      Number `json:"log_odds"`      // mean change of ln(p/(1-p))
	Surprisal    Number `json:"surprisal"`     // mean of -ln(p), nats
	MedianRank   Number `json:"median_rank"`   // null when no rank is known

	ChangeInterval  Interval `json:"change_interval"`
	RatioInterval   Interval `json:"ratio_interval"`
	LogOddsInterval Interval `json:"log_odds_interval"`

	// These two are costly and present only in the cells of a [Best].
	MedianInterval   *Interval `json:"median_interval,omitempty"`   // of MedianChange
	RejectedInterval *Interval `json:"rejected_interval,omitempty"` // of Rejected
}

// Measure ranks cells.
type Measure string

// The measures that choose a best cell.
const (
	ByRejected Measure = "rejected" // the paper's
	ByLogOdds  Measure = "log_odds"
)

// Measures lists them in the order of a summary.
var Measures = []Measure{ByRejected, ByLogOdds}

// Value is the number that a measure compares.
func (e Effect) Value(m Measure) Number {
	if m == ByRejected {
		return e.Rejected
	}
	return e.LogOdds
}

// Peak is the best cell of one layer by one measure. Tau and Value are null when no cell of the layer has a value.
type Peak struct {
	Measure Measure      `json:"measure"`
	Layer   int          `json:"layer"`
	Head    results.Head `json:"head,omitzero"`
	Tau     Number       `json:"tau"`
	Value   Number       `json:"value"`
}

// Best is the best cell of a grid by one measure: the one with the largest value, or with the smallest where Series.Harm is set. Only cells with the largest number of prompts compete, so that a tau at
// which the model breaks is not rated by the remaining prompts alone. The first of equal cells wins.
type Best struct {
	Measure Measure `json:"measure"`
	Effect  Effect  `json:"effect"` // over all prompts, on which the cell was chosen
	Held    *Held   `json:"held"`   // null when there are too few prompts
}

// Held is a cell chosen on one half of the prompts (the first, third, fifth, … in the order of the data) and reported on the
// other half.
type Held struct {
	Layer  int          `json:"layer"`
	Head   results.Head `json:"head,omitzero"`
	Tau    float64      `json:"tau"`
	Chosen Effect       `json:"chosen"` // on the half on which it was chosen
	Other  Effect       `json:"other"`  // on the other half: free of the bias of the choice
}

// Interval is a 95 % interval. Both ends are null when there are too few prompts to resample.
type Interval struct {
	Low  Number `json:"low"`
	High Number `json:"high"`
}

// Number is a float64 that may be absent: NaN and infinities are null in JSON.
type Number float64

// None is the absent number.
func None() Number { return Number(math.NaN()) }

// OK reports whether there is a number.
func (n Number) OK() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// MarshalJSON writes null for an absent number.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.OK() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads null as an absent number.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = None()
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}
