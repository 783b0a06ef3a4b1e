package main

// shape is what the work of an evaluation depends on.
type shape struct {
	layers, width, vocab int64 // of the model
	taus                 int64
}

// smallGrid is GPT-2 small with the paper's 15 taus.
var smallGrid = shape{12, 768, vocab, 15}

func (s shape) cells() int64 { return s.layers * s.taus }

// least counts the floating point operations that the grid of a prompt of t tokens takes at least: one clean run, what lies
// below the injected layer computed once, one position unembedded, and in the last block only that position, but for its
// keys and values. A multiplication with an addition counts as two.
func (s shape) least(t int64) int64 { return s.work(t, s.lastBlock(t, 1)) }

// done counts those of the graph that eval runs: the last layer's queries are computed at every position.
func (s shape) done(t int64) int64 { return s.work(t, s.lastBlock(t, t)) }

// lastBlock is the work for one row in the last block: keys and values, queries of some positions, and W_O at one.
func (s shape) lastBlock(t, queries int64) int64 {
	d := s.width
	return 4*d*d*t + queries*(2*d*d+4*t*d) + 2*d*d
}

// work adds up the layers. Attention of layer l sees the clean row and the cells of the layers below, its MLP the layer's own
// cells too.
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

// over adds up a count for prompts of these lengths.
func over(lengths []int, count func(t int64) int64) float64 {
	var sum int64
	for _, t := range lengths {
		sum += count(int64(t))
	}
	return float64(sum)
}
