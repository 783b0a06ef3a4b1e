package report

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// knowledge is the model's score for one kind of prompt without a memory.
type knowledge struct {
	Label   string
	Kind    string
	Level   stats.Level
	Ceiling *stats.Effect // relative to two hops
}

// knowledges lists each model with each data file, once when all runs of both have the same numbers.
func knowledges(all []*series) []knowledge {
	var out []knowledge
	seen := map[string]bool{} // keys are texts, because an absent number does not equal itself
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
		if s.Told != nil {
			add(knowledge{Label: label, Kind: "two hops, with the memory as text in front", Level: *s.Told, Ceiling: s.Telling})
		}
	}
	return out
}
