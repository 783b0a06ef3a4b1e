package main

// shape holds the dimensions that determine the work of an evaluation.
type shape struct {
	layers, width, vocab int64 // dimensions of the model
	taus                 int64
}

// smallGrid is GPT-2 small with the paper's 15 taus.
var smallGrid = shape{12, 768, 50257, 15}

func (s shape) cells() int64 { return s.layers * s.taus }

// least counts the minimum of floating-point operations for the grid of a prompt of t tokens: one clean run, the layers below
// the injected one computed once, one position unembedded, and in the last block only that position, except for its keys and
// values. A multiplication with an addition counts as two.
func (s shape) least(t int64) int64 { return s.work(t, s.lastBlock(t, 1)) }

// done counts the operations of the graph that eval runs: it computes the last layer's queries at every position.
func (s shape) done(t int64) int64 { return s.work(t, s.lastBlock(t, t)) }

// lastBlock is the work for one row in the last block: keys and values, queries of some positions, and W_O at one position.
func (s shape) lastBlock(t, queries int64) int64 {
	d := s.width
	return 4*d*d*t + queries*(2*d*d+4*t*d) + 2*d*d
}

// work is the sum over the layers. Attention of layer l processes the clean row and the cells of the layers below; its MLP
// also processes the layer's own cells.
func (s shape) work(t, last int64) int64 {
	d := s.width
	attention, mlp := t*(8*d*d+4*t*d), 16*d*d
	var sum int64
	for l := range s.layers {
		before, after := 1+s.taus*l, 1+s.taus*(l+1)
		if l < s.layers-1 {
			sum += before*attention + after*t*mlp
		} else {
			sum += before*last + after*mlp
		}
	}
	return sum + (1+s.cells())*2*d*s.vocab
}

// over is the sum of a count over prompts of these lengths.
func over(lengths []int, count func(t int64) int64) float64 {
	var sum int64
	for _, t := range lengths {
		sum += count(int64(t))
	}
	return float64(sum)
}
