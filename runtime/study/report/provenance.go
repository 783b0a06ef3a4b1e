package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// provenance is a manifest in words.
type provenance struct {
	Label string
	Facts [][2]string
}

func newProvenance(label string, r *results.Run) provenance {
	p := provenance{Label: label}
	add := func(name, format string, args ...any) {
		p.Facts = append(p.Facts, [2]string{name, fmt.Sprintf(format, args...)})
	}
	m := r.Manifest
	add("results", "%s, written by %s", orNone(r.Dir), orNone(m.Tool))
	add("model", "%s, SHA-256 %s", orNone(m.Model.Name), orNone(m.Model.SHA256))
	add("architecture", "%s, %s: %d layers, %d heads, d_model %d, %d tokens", orNone(m.Model.Family), orNone(m.Model.Variant), m.Model.Layers, m.Model.Heads, m.Model.DModel, m.Model.Vocab)
	add("tokenizer", "SHA-256 %s", orNone(m.Model.Tokenizer))
	add("data", "%s, SHA-256 %s", orNone(m.Data.Name), orNone(m.Data.SHA256))
	add("prompts", "%d of %d", len(r.Prompts), m.Prompts)
	add("layers", "%s", strings.Join(layerLabels(m.Layers), " "))
	add("operation", "%s at %s", m.Operation(), sitesOf(m))
	if m.Heads != nil {
		add("heads", "%s, one at a time", strings.Join(layerLabels(m.Heads), " "))
	}
	if m.Operation() != intervention.Ablate {
		add("taus", "%s, unit %s", strings.Join(tauLabels(m.Taus), " "), cmp.Or(m.TauUnit, "raw"))
	}
	if m.PromptColumn != "" {
		add("column of the prompts", "%s", m.PromptColumn)
	}
	for _, e := range m.Interventions {
		add("in every cell", "%v", e)
	}
	if m.First > 0 {
		add("memories of a file", "the first %d", m.First)
	}
	for _, s := range m.Memories {
		text := s.Name
		if s.File != nil {
			text += fmt.Sprintf(", from %s, SHA-256 %s", s.File.Name, orNone(s.File.SHA256))
		}
		add("memories", "%s", text)
	}
	add("vectors", "encoding %s, convention %s", orNone(m.Encoding), orNone(m.Convention))
	add("positions", "%s", orNone(m.Positions))
	add("texts", "beginning-of-text token before prompts: %s, before memories: %s; space before a memory: %s, before an answer: %s",
		yes(m.Texts.PromptBOS), yes(m.Texts.MemoryBOS), yes(m.Texts.MemorySpace), yes(m.Texts.AnswerSpace))
	plan := orNone(m.Plan.Used)
	if m.Plan.Reason != "" {
		plan += ": " + m.Plan.Reason
	}
	add("plan", "%s", plan)
	if m.Shard.Of > 1 {
		add("shard", "%d of %d", m.Shard.Index, m.Shard.Of)
	}
	add("host", "%s", strings.Join(strings.Fields(m.Host.Name+" "+m.Host.Version+" "+m.Host.Device), " "))
	return p
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
