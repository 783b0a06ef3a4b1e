package results

import "math"

// Cell is one prompt with one memory at one layer and tau.
type Cell struct {
	Prompt   int     // from 0, in the order of the data file
	Layer    int     // from 0
	Tau      float64 // the memory's magnitude
	Source   string  // where the memory comes from, as it was asked for: "curated", "random:nouns.txt", …
	Memory   string  // its text; "" for none
	Encoding string  // how the text became a vector; "" for none, and for a vector of a file, whose name is the text
	Score            // of the answer, with the memory
}

// Prompt is one row of the data, and what the model says about it without a memory. Texts are as in the data file.
type Prompt struct {
	Index          int
	TwoHop         string // the prompt that is evaluated; "obscure" in the paper's files
	OneHop         string // the same question with the missing hop spelled out; "explicit" in the paper's files; may be ""
	ExplicitEntity string
	ObscureEntity  string
	Answer         string
	AnswerID       int64 // the token the answer counts by
	Tokens         int   // of the two-hop prompt, the beginning-of-text token included
	Clean          Score // of the two-hop prompt
	Ceiling        Score // of the one-hop prompt; Missing when the data has none
}

// Score is what the model thinks of an answer at the last position.
type Score struct {
	LogP   float64 // natural logarithm of its probability; NaN when Status is set
	Rank   int     // how many tokens are likelier: 0 is the most likely; -1 when Status is set
	Top    []int64 // the likeliest tokens, most likely first, as many as were asked for
	Status Status
}

// P is the answer's probability, NaN when there is none.
func (s Score) P() float64 { return math.Exp(s.LogP) }

// OK says whether there is a number.
func (s Score) OK() bool { return s.Status == Finite }

// Status says why a score has no number. It stands in the column of the same name.
type Status string

const (
	Finite  Status = ""     // there is one
	NaN     Status = "nan"  // the model computed no number
	Inf     Status = "inf"  // the model's numbers left the range of their type
	Missing Status = "none" // the data has no such prompt
)

// None is the score of a prompt that the data does not have.
func None() Score { return Score{LogP: math.NaN(), Rank: -1, Status: Missing} }

// Run is one evaluation, read back.
type Run struct {
	Dir      string // where it was read from; "" for one that was made in memory
	Manifest *Manifest
	Prompts  []Prompt // in the order of Index; a shard has some of them
	Cells    []Cell   // by prompt, in the order of the file
}
