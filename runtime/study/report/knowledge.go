package report

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// knowledge is what a model says without a memory to one kind of prompt.
type knowledge struct {
	Label   string
	Kind    string
	Level   stats.Level
	Ceiling *stats.Effect // of one hop over two
}

// knowledges lists each model with each data once, where all runs of both say the same.
func knowledges(all []*series) []knowledge {
	var out []knowledge
	seen := map[string]bool{} // as text: an absent number is not equal to itself
	add := func(k knowledge) {
		if text := fmt.Sprint(k.Label, k.Kind, k.Level); !seen[text] {
			seen[text] = true
			out = append(out, k)
		}
	}
	for _, s := range all {
		label := join(s.run.Manifest.Model.Name, s.run.Manifest.Data.Name)
		add(knowledge{Label: label, Kind: "two hops", Level: s.TwoHop})
		if s.OneHop != nil {
			add(knowledge{Label: label, Kind: "one hop", Level: *s.OneHop, Ceiling: s.Ceiling})
		}
	}
	return out
}
