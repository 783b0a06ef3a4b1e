package results

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/onnx-inject/onnx-inject/models"
)

// Head is one head of a layer, or all of them: the zero value. All heads is also the head of a site that has none.
type Head int

// AllHeads is a layer as a whole.
const AllHeads Head = 0

// OneHead is the head with an index, from 0.
func OneHead(index int) Head { return Head(index + 1) }

// Index returns the index of one head; false for all heads.
func (h Head) Index() (int, bool) { return int(h) - 1, h != AllHeads }

// String is the index of a head, or "" for all heads.
func (h Head) String() string {
	if h == AllHeads {
		return ""
	}
	return strconv.Itoa(int(h) - 1)
}

// MarshalJSON writes the index of a head, or null for all heads.
func (h Head) MarshalJSON() ([]byte, error) {
	if i, ok := h.Index(); ok {
		return json.Marshal(i)
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (h *Head) UnmarshalJSON(b []byte) error {
	var i *int
	if err := json.Unmarshal(b, &i); err != nil {
		return err
	}
	if *h = AllHeads; i != nil {
		*h = OneHead(*i)
	}
	return nil
}

// Point is one point of a grid: what all cells of one place, strength and source of memories have in common.
type Point struct {
	Source string
	Site   models.PortKind // "" is attn_out
	Layer  int
	Head   Head
	Tau    float64
}

// String names the point, such as `layer 7, tau 3, "curated"`.
func (p Point) String() string {
	s := fmt.Sprintf("layer %d", p.Layer)
	if p.Site != "" {
		s = fmt.Sprintf("%s of layer %d", p.Site, p.Layer)
	}
	if h, one := p.Head.Index(); one {
		s += fmt.Sprintf(", head %d", h)
	}
	return fmt.Sprintf("%s, tau %v, %q", s, p.Tau, p.Source)
}

// Point returns the point of the grid that the cell belongs to.
func (c *Cell) Point() Point { return Point{c.Source, c.Site, c.Layer, c.Head, c.Tau} }

// Cell is one prompt with one change at one place: a memory at a site of a layer and tau, or one head that is knocked out.
type Cell struct {
	Prompt   int             // from 0, in the order of the data file
	Site     models.PortKind // that is changed; "" is attn_out
	Layer    int             // from 0
	Head     Head            // that is changed; the zero value is all heads, or a site without heads
	Tau      float64         // the memory's magnitude; of scale, the factor; of ablate, 0
	Source   string          // the source of the memory, as requested: "curated", "random:nouns.txt", …
	Memory   string          // its text; "" for none
	Encoding string          // how the text became a vector; "" for none, and for a vector from a file, whose name is the text
	Score                    // of the answer, with the memory
}

// Prompt is one row of the data and the model's scores for it without a memory. Texts are as in the data file.
type Prompt struct {
	Index          int
	TwoHop         string // the prompt that is evaluated; "obscure" in the paper's files
	OneHop         string // the same question with the missing hop spelled out; "explicit" in the paper's files; may be ""
	ExplicitEntity string
	ObscureEntity  string
	More           []Pair // further memories and their phrases
	Answer         string
	AnswerID       int64    // the token whose probability counts
	Tokens         int      // of the two-hop prompt, the beginning-of-text token included
	Clean          Score    // of the two-hop prompt
	Ceiling        Score    // of the one-hop prompt; Missing when the data has none
	Told           *Told    // nil unless Manifest.Told is set
	Further        []string // what the data has in the columns of Manifest.Columns, in their order
}

// Pair is a memory and the phrase of the two-hop prompt that stands for it, as ExplicitEntity and ObscureEntity are.
type Pair struct{ Entity, Phrase string }

// Pairs lists the memories of the prompt, each with its phrase.
func (p *Prompt) Pairs() []Pair {
	return append([]Pair{{p.ExplicitEntity, p.ObscureEntity}}, p.More...)
}

// Told is the model's score of the two-hop prompt with its memories as text in front: "X is Y. …".
type Told struct {
	Score        // Missing when the prompt has no phrase for the memory
	Text  string // that prompt
}

// Score is the model's prediction of an answer at the last position.
type Score struct {
	LogP   float64 // natural logarithm of its probability; NaN when Status is set
	Rank   int     // number of tokens that are more likely: 0 is the most likely; -1 when Status is set
	Top    []int64 // the requested number of most likely tokens, most likely first
	Status Status
}

// P is the answer's probability, NaN when there is none.
func (s Score) P() float64 { return math.Exp(s.LogP) }

// OK reports whether there is a number.
func (s Score) OK() bool { return s.Status == Finite }

// Status is the reason why a score has no number. Files store it in a column of the same name.
type Status string

const (
	Finite  Status = ""     // there is a number
	NaN     Status = "nan"  // the model computed no number
	Inf     Status = "inf"  // the model's numbers exceeded the range of their type
	Missing Status = "none" // the data has no such prompt, or the prompt has no phrase for the memory
)

// None is the score of a prompt that the data does not have.
func None() Score { return Score{LogP: math.NaN(), Rank: -1, Status: Missing} }

// Run is one evaluation, read from a folder.
type Run struct {
	Dir         string // the folder it was read from; "" for a run created in memory
	Manifest    *Manifest
	Prompts     []Prompt     // in the order of Index; a shard has some of them
	Cells       []Cell       // by prompt, in the order of the file
	SideEffects []SideEffect // by text, in the order of the file
	Unsealed    bool         // the folder is of an earlier version and has no checksums: that its numbers were changed cannot be found
}
