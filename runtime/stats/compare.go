package stats

import "github.com/onnx-inject/onnx-inject/runtime/results"

// At is one series at one layer and tau.
type At struct {
	Run    *results.Run
	Source string
	Layer  int
	Tau    float64
}

// PromptEffect is what memories do to one prompt at one layer and tau; with several memories, the mean over them.
type PromptEffect struct {
	Prompt  int     `json:"prompt"`   // results.Prompt.Index
	Before  float64 `json:"p_before"` // the answer's probability without a memory
	After   float64 `json:"p_after"`  // … and with
	Change  float64 `json:"change"`   // (After-Before)/Before
	LogOdds float64 `json:"log_odds"` // change of ln(p/(1-p))

	Cells []*results.Cell `json:"-"` // of the prompt, in the run's order: ranks, top tokens, memories
}

// Difference compares two series at one cell each, prompt by prompt: what a does more than b.
type Difference struct {
	N               int      `json:"n"`               // prompts with a number in both
	Better          int      `json:"better"`          // prompts to which a gives the higher probability
	Change          Number   `json:"change"`          // mean difference of (p-p0)/p0
	MedianChange    Number   `json:"median_change"`   // median difference of the same
	LogOdds         Number   `json:"log_odds"`        // mean difference of the change of ln(p/(1-p))
	ChangeInterval  Interval `json:"change_interval"` // 95 %, over prompts
	MedianInterval  Interval `json:"median_interval"`
	LogOddsInterval Interval `json:"log_odds_interval"`
}
