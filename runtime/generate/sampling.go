package generate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Sampling says how a token is chosen from the logits. The zero value takes the most likely token. The definitions and their
// order are those of transformers' logits processors.
type Sampling struct {
	// Penalty is the repetition penalty: the logits of tokens that the text contains, prompt included, are divided by it where
	// they are positive, and multiplied by it where they are negative. 0 and 1 change nothing.
	Penalty float64
	// Temperature divides the logits. 0 takes the most likely token, and the fields below have no effect.
	Temperature float64
	TopK        int     // only the k most likely tokens, and those that equal the last of them; 0: all
	TopP        float64 // without the least likely tokens whose probabilities add up to at most 1 - p; 0 and 1: all
	MinP        float64 // only tokens at least p times as likely as the most likely one; 0: all
	Seed        uint64  // equal seeds give equal choices
}

// Greedy reports whether the most likely token is taken.
func (s Sampling) Greedy() bool { return s.Temperature == 0 }

// Check reports a number outside its range.
func (s Sampling) Check() error {
	for _, x := range []struct {
		name      string
		got, most float64
	}{
		{"repetition penalty", s.Penalty, math.MaxFloat32}, {"temperature", s.Temperature, math.MaxFloat32}, {"top-k", float64(s.TopK), math.MaxInt32}, {"top-p", s.TopP, 1}, {"min-p", s.MinP, 1},
	} {
		if !(x.got >= 0 && x.got <= x.most) {
			if x.most > 1 {
				return fmt.Errorf("%s %v, want a number from 0", x.name, x.got)
			}
			return fmt.Errorf("%s %v, want a number from 0 to 1", x.name, x.got)
		}
	}
	return nil
}

// chooser returns a function that chooses a token from the logits [vocab] of each step. It keeps the text that the penalty needs.
func (s Sampling) chooser(prompt []int64) func(logits []float32) int64 {
	seen := map[int64]bool{}
	for _, id := range prompt {
		seen[id] = true
	}
	random := rand.New(rand.NewPCG(s.Seed, 0))
	return func(logits []float32) int64 {
		x := s.penalise(logits, seen)
		id := best(x)
		if !s.Greedy() {
			id = draw(s.filter(x), random.Float64())
		}
		seen[id] = true
		return id
	}
}

func best(logits []float32) int64 {
	at := 0
	for i, x := range logits {
		if x > logits[at] {
			at = i
		}
	}
	return int64(at)
}

func (s Sampling) penalise(logits []float32, seen map[int64]bool) []float32 {
	if s.Penalty == 0 || s.Penalty == 1 {
		return logits
	}
	x, p := slices.Clone(logits), float32(s.Penalty)
	for id := range seen {
		if id >= int64(len(x)) {
			continue
		}
		if x[id] < 0 {
			x[id] *= p
		} else {
			x[id] /= p
		}
	}
	return x
}

// candidate is a token that may be chosen, with its probability among all that may.
type candidate struct {
	id    int64
	logit float32
	p     float64
}

// filter returns the tokens that may be chosen, in the order of their ids, with probabilities that add up to 1.
func (s Sampling) filter(logits []float32) []candidate {
	c := make([]candidate, len(logits))
	for i, x := range logits {
		c[i] = candidate{id: int64(i), logit: x / float32(s.Temperature)}
	}
	if 0 < s.TopK && s.TopK < len(c) {
		least := kth(c, s.TopK)
		c = slices.DeleteFunc(c, func(x candidate) bool { return x.logit < least })
	}
	normalise(c)
	if 0 < s.TopP && s.TopP < 1 {
		c = nucleus(c, s.TopP)
		normalise(c)
	}
	if s.MinP > 0 {
		most := slices.MaxFunc(c, func(a, b candidate) int { return cmp.Compare(a.p, b.p) }).p
		c = slices.DeleteFunc(c, func(x candidate) bool { return x.p < s.MinP*most })
		normalise(c)
	}
	return c
}

// kth returns the k-th largest logit.
func kth(c []candidate, k int) float32 {
	top := make([]float32, 0, k) // ascending
	for _, x := range c {
		if len(top) == k {
			if x.logit <= top[0] {
				continue
			}
			top = top[:copy(top, top[1:])]
		}
		at, _ := slices.BinarySearch(top, x.logit)
		top = slices.Insert(top, at, x.logit)
	}
	return top[0]
}

// normalise computes the probabilities.
func normalise(c []candidate) {
	most := slices.MaxFunc(c, func(a, b candidate) int { return cmp.Compare(a.logit, b.logit) }).logit
	sum := 0.0
	for i := range c {
		c[i].p = math.Exp(float64(c[i].logit - most))
		sum += c[i].p
	}
	for i := range c {
		c[i].p /= sum
	}
}

// nucleus removes the least likely tokens whose probabilities add up to at most 1 - p, but never the most likely one. Of equal
// tokens those with lower ids go first, as in a stable sort.
func nucleus(c []candidate, p float64) []candidate {
	rest := 1 - p
	var sorted []candidate // without tokens so unlikely that all of them together are removed
	sum := 0.0
	for _, x := range c {
		if x.p*float64(len(c)) < rest {
			sum += x.p
		} else {
			sorted = append(sorted, x)
		}
	}
	slices.SortStableFunc(sorted, func(a, b candidate) int { return cmp.Compare(a.p, b.p) })
	removed := 0
	for removed < len(sorted)-1 && sum+sorted[removed].p <= rest {
		sum += sorted[removed].p
		removed++
	}
	kept := sorted[removed:]
	slices.SortFunc(kept, func(a, b candidate) int { return cmp.Compare(a.id, b.id) })
	return kept
}

// draw chooses a token by a random number from 0 to 1.
func draw(c []candidate, u float64) int64 {
	sum := 0.0
	for _, x := range c {
		if sum += x.p; u < sum {
			return x.id
		}
	}
	return c[len(c)-1].id // the sum may be a little below 1
}
