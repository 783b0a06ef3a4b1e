package models

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// Layout is what was recognised in a graph: where each layer reads the residual stream, where its heads write, and which
// constants hold the parameters. It points into the model; nothing in it is a name.
type Layout struct {
	Family   string // "gpt2", "gpt-neo", "gpt-j"
	Exporter string // the form of the file, such as "torchscript" or "optimum merged"
	Layers   int
	Heads    int // query heads
	KVHeads  int // key and value heads: as many, or fewer
	DHead    int
	DModel   int
	Vocab    int // 0 when the file has no unembedding

	// Bodies are the graphs that hold the decoder: one, or the two branches of a merged file. Index 0 is the one that runs
	// without a cache where there is a choice.
	Bodies []*Body

	Embed     *weights.Weight // W_E [vocab, d_model]; nil when the tokens come in some other way
	Positions *weights.Weight // W_pos [n_ctx, d_model]; nil for rotary positions
	Unembed   *weights.Weight // W_U [d_model, vocab]; nil when the file ends in hidden states
	NCtx      int             // longest text, 0 when the file does not say

	PositionKind PositionKind
	SoftCap      float64 // logits are SoftCap * tanh(x / SoftCap), with x what W_U gives; 0: they are x
}

// PositionKind says how a decoder knows the position of a token.
type PositionKind string

// The kinds of positions.
const (
	LearnedPositions PositionKind = "learned" // rows of W_pos are added to the embeddings
	RotaryPositions  PositionKind = "rotary"  // queries and keys are turned
	ALiBiPositions   PositionKind = "ALiBi"   // scores fall with the distance
	NoPositions      PositionKind = "no"      // none that was recognised
)

// Body is one graph that runs the decoder from tokens to logits.
type Body struct {
	Graph  *graph.Graph
	Layers []*Layer
	Norm   *Norm          // ln_f; nil when it was not found
	Logits *graph.Value   // the graph output behind the unembedding, nil when the file ends in hidden states
	BU     []*graph.Value // what is added behind the unembedding, last first; see [Layout.UnembedBias]
}

// Layer is one block. A site is a sum of values: one value as a rule, more where the file leaves an addition to a fused
// operator (a bias inside SkipLayerNormalization). A nil site means that the file does not compute it; Missing says why.
type Layer struct {
	Index int
	Core  *graph.Node // what computes attention: the MatMul after Softmax, or an attention operator

	ResidPre  Site
	Z         *graph.Value
	ZForm     ZForm
	Pattern   *graph.Value    // attention probabilities [batch, head, query, key]; nil: see PatternOut
	WO        *weights.Weight // [heads*d_head, d_model]
	BO        []*graph.Value
	Out       Site  // output of W_O, b_O included: the sum over heads and b_O; AttnOut unless PostNorm or Scaled
	PostNorm  *Norm // between Out and AttnOut (Gemma 2, OLMo 2); nil for none
	Scaled    bool  // a number is multiplied between Out and AttnOut (Granite)
	AttnOut   Site
	Join      graph.Use // the operand through which attention enters the residual stream
	MLPJoin   graph.Use // the operand through which the MLP does; its node is nil in a block without one
	ResidMid  Site
	MLPOut    Site
	ResidPost Site

	// ResidPostOut is a skip norm that gives resid_post as output 3 when asked to; ResidPost is nil then.
	ResidPostOut *graph.Node

	// PatternOut is an attention operator that gives the probabilities as output 3 when asked to.
	PatternOut *graph.Node

	// Missing tells for a kind of site ("pattern", "resid_mid") why this layer has none.
	Missing map[string]string
}

// ZForm tells how a file lays out z.
type ZForm int

const (
	ZByPos  ZForm = iota // [batch, pos, head, d_head]
	ZByHead              // [batch, head, pos, d_head]
	ZFlat                // [batch, pos, head*d_head]
)

// Site is a tensor [batch, pos, d_model] given as the sum of its terms. Biases [d_model] may be among them.
type Site []*graph.Value

// Norm is a normalisation with its parameters, each [d_model]; without a Gamma it is 1, without a Beta 0.
type Norm struct {
	Node  *graph.Node  // LayerNormalization, or where its expansion multiplies by gamma
	In    *graph.Value // what is normalised; nil for a skip norm, which makes the sum itself
	Gamma *graph.Value
	Beta  *graph.Value
	Out   *graph.Value
	Eps   float64
	Kind  NormKind
}

// NormKind says what a norm divides by.
type NormKind string

// The kinds of norms. In the families that have a gain of 1 + w (Gemma), Gamma is the whole gain.
const (
	LayerNorm NormKind = "LayerNorm" // x minus its mean, over the square root of its variance
	RMSNorm   NormKind = "RMSNorm"   // x over its root mean square
)
