package intervention

import (
	"fmt"
	"math"

	"github.com/onnx-inject/onnx-inject/models"
)

// An entity memory gives a description in a prompt the meaning of a name: the model runs the name alone, after the
// beginning-of-text token, and the residual stream of its last token replaces that of the last token of the description. Of
// "The largest coral reef system in the world is off the coast of", the token " world" gets the state of "The Great Barrier Reef".

// EntitySite is the default site of an entity memory.
const EntitySite = models.PortResidPost

// EntityDepth is the default share of the layers that run before an entity memory acts.
const EntityDepth = 0.3

// EntityLayer returns the default layer of an entity memory: the last one of the first [EntityDepth] of the layers.
func EntityLayer(layers int) int {
	return max(0, int(math.Round(EntityDepth*float64(layers)))-1)
}

// Entity returns the entry of an entity memory: the state of name replaces that of the last token of description.
func Entity(name, description string, site models.PortKind, layers Layers, tau float64) Entry {
	return Entry{Site: site, Layers: layers, Op: Replace, Memory: &Memory{Captured: &Captured{Prompt: name}}, Tau: &tau, Positions: LastOf(description).String()}
}

// EntityOf returns the name and the description of an entity memory. ok is false for another entry.
func (e Entry) EntityOf() (name, description string, ok bool) {
	p, err := e.positions()
	description, ok = p.EndOf()
	if err != nil || !ok || e.Op != Replace || e.Memory == nil || e.Memory.Captured == nil || e.Memory.Captured.Prompt == "" {
		return "", "", false
	}
	return e.Memory.Captured.Prompt, description, true
}

// Apart refuses phrases of a prompt that share a part of it: it would not be clear which of their memories that part stands for.
func Apart(prompt string, phrases []string) error {
	for i, phrase := range phrases {
		for _, other := range phrases[:i] {
			for _, a := range occurrences(prompt, phrase) {
				for _, b := range occurrences(prompt, other) {
					if a < b+len(other) && b < a+len(phrase) {
						return fmt.Errorf("the phrases %q and %q overlap in %q: want phrases that share nothing, each with its memory", other, phrase, prompt)
					}
				}
			}
		}
	}
	return nil
}

// OneMemory refuses two memories for one phrase: entries that replace the same token, of which the second would silently win.
func (p Plan) OneMemory(entries []Entry) error {
	type token struct {
		models.BakedAt
		at Positions
	}
	first := map[token]int{}
	for _, c := range p {
		e := entries[c.Entry]
		asked, err := e.positions()
		if _, ok := asked.EndOf(); err != nil || !ok || e.Op != Replace {
			continue
		}
		at := token{models.BakedAt{Site: c.Site, Layer: c.Layer}, c.Positions}
		if i, again := first[at]; again && i != c.Entry {
			return fmt.Errorf("interventions %d and %d replace the same token at %s@%d, the end of %s and of %s: want one memory for a phrase",
				i, c.Entry, c.Site, c.Layer, entries[i].Positions, e.Positions)
		}
		first[at] = c.Entry
	}
	return nil
}
