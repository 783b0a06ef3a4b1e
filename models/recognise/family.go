package recognise

import (
	"fmt"
	"strings"
)

// facts are the structural traits by which families differ.
type facts struct {
	parallel  bool // attention and MLP read the same norm
	positions bool // a learned table of positions is added to the token embeddings
	fusedQKV  bool // one projection gives q, k and v
	apart     bool // three projections
	biased    bool // those have biases
	rms       bool // the final norm has no beta and is no LayerNormalization
}

func (f facts) String() string {
	word := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	qkv := "q, k and v from an unknown place"
	switch {
	case f.fusedQKV:
		qkv = "q, k and v from one projection"
	case f.apart && f.biased:
		qkv = "q, k and v from three projections with biases"
	case f.apart:
		qkv = "q, k and v from three projections"
	}
	return strings.Join([]string{word(f.parallel, "parallel blocks", "sequential blocks"),
		word(f.positions, "learned positions", "no learned positions"), qkv, word(f.rms, "RMSNorm", "LayerNorm")}, ", ")
}

// family is a kind of model. To add one, add a literal: the sites are found in the same way for all.
type family struct {
	name string
	doc  string
	ok   func(facts) bool
}

var families = []family{
	{"gpt2", "sequential blocks, learned positions, q, k and v from one projection or from three with biases, LayerNorm (GPT-2, DistilGPT-2, nanoGPT, minGPT)",
		func(f facts) bool { return !f.parallel && f.positions && (f.fusedQKV || f.apart && f.biased) && !f.rms }},
	{"gpt-neo", "sequential blocks, learned positions, q, k and v apart and without biases, LayerNorm (GPT-Neo)",
		func(f facts) bool { return !f.parallel && f.positions && f.apart && !f.biased && !f.rms }},
	{"gpt-j", "parallel blocks, rotary positions, q, k and v apart and without biases, LayerNorm (GPT-J)",
		func(f facts) bool { return f.parallel && !f.positions && f.apart && !f.biased && !f.rms }},
}

// nameFamily finds the one family that has these traits.
func nameFamily(f facts) (string, error) {
	var docs []string
	for _, x := range families {
		if x.ok(f) {
			return x.name, nil
		}
		docs = append(docs, x.name+" has "+x.doc)
	}
	return "", fmt.Errorf("a decoder with %v is none of the known families: %s", f, strings.Join(docs, "; "))
}
