package models

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// Layout is the result of recognising a graph: where each layer reads the residual stream, where its heads write, and which
// constants hold the parameters. It points to values of the model and contains no names of them.
type Layout struct {
	Family   string // "gpt2", "gpt-neo", "gpt-j"
	Exporter string // the form of the file, such as "torchscript" or "optimum merged"
	Layers   int
	Heads    int // query heads
	KVHeads  int // key and value heads: as many as query heads, or fewer
	DHead    int
	DModel   int
	Vocab    int // 0 when the file has no unembedding

	// Bodies are the graphs that contain the decoder: one graph, or the two branches of a merged file. If there are two,
	// index 0 is the one that runs without a cache.
	Bodies []*Body

	Embed     *weights.Weight // W_E [vocab, d_model]; nil when the file has no table of token embeddings
	Positions *weights.Weight // W_pos [n_ctx, d_model]; nil without learned positions
	Unembed   *weights.Weight // W_U [d_model, vocab]; nil when the file ends in hidden states
	NCtx      int             // longest text in tokens, 0 if unknown

	PositionKind PositionKind
	SoftCap      float64 // logits are SoftCap * tanh(x / SoftCap), where x is the output of W_U; 0: they are x
}

// PositionKind is the way in which a decoder encodes the position of a token.
type PositionKind string

// The kinds of positions.
const (
	LearnedPositions PositionKind = "learned" // rows of W_pos are added to the embeddings
	RotaryPositions  PositionKind = "rotary"  // queries and keys are rotated
	ALiBiPositions   PositionKind = "ALiBi"   // scores decrease with the distance
	NoPositions      PositionKind = "no"      // none was recognised
)

// Body is one graph that runs the decoder from tokens to logits.
type Body struct {
	Graph  *graph.Graph
	Layers []*Layer
	Norm   *Norm          // ln_f; nil if it was not found
	Logits *graph.Value   // the graph output after the unembedding, nil when the file ends in hidden states
	BU     []*graph.Value // terms added after the unembedding, last first; see [Layout.UnembedBias]
}

// Layer is one block. A site is a sum of values: usually one value, and more if a fused operator contains an addition (such
// as a bias inside SkipLayerNormalization). A nil site means that the file does not compute it; Missing gives the reason.
type Layer struct {
	Index int
	Core  *graph.Node // computes attention: the MatMul after Softmax, or an attention operator

	ResidPre  Site
	Z         *graph.Value
	ZForm     ZForm
	Pattern   *graph.Value    // attention probabilities [batch, head, query, key]; nil: see PatternOut
	WO        *weights.Weight // [heads*d_head, d_model]
	BO        []*graph.Value
	Out       Site  // output of W_O including b_O: the sum of the heads and b_O; equal to AttnOut unless PostNorm or Scaled
	PostNorm  *Norm // between Out and AttnOut (Gemma 2, OLMo 2); nil for none
	Scaled    bool  // AttnOut is Out times a number (Granite)
	AttnOut   Site
	Join      graph.Use // the operand through which attention enters the residual stream
	MLPJoin   graph.Use // the same for the MLP; its node is nil in a block without an MLP
	ResidMid  Site
	MLPOut    Site
	ResidPost Site

	// Where z and the residual stream can be changed, before and after the block. The other sites use Join and MLPJoin.
	ZAt, PreAt, PostAt Place

	// Sized is a value [batch, pos, d_model], for the sizes of the first two axes.
	Sized *graph.Value

	// Folded holds those values of the MLP and of resid_post that the file computes as [batch*pos, d_model], as OPT does.
	Folded []*graph.Value

	// ResidPostOut is a skip norm whose output 3 can be resid_post. ResidPost is nil then.
	ResidPostOut *graph.Node

	// PatternFolded is true where the file folds heads into the batch, and Pattern is [batch*head, query, key].
	PatternFolded bool

	// PatternOut is an attention operator whose output 3 can be the probabilities.
	PatternOut *graph.Node

	// Missing gives, for a kind of site ("pattern", "resid_mid"), the reason why this layer has none.
	Missing map[string]string
}

// ZForm is the axis order of z in a file.
type ZForm int

const (
	ZByPos  ZForm = iota // [batch, pos, head, d_head]
	ZByHead              // [batch, head, pos, d_head]
	ZFlat                // [batch, pos, head*d_head]
)

// Site is a tensor [batch, pos, d_model] given as the sum of its terms. Biases [d_model] may be among them.
type Site []*graph.Value

// Place is where a value x of a layer is changed.
type Place struct {
	Own Site // x

	// Uses are the operands that get the changed value. They all read the same value: x, or x as an earlier rewrite changed
	// it.
	Uses  []graph.Use
	Whole bool // Uses are all readers of that value, except for ports that show it

	// Fused is a skip norm that computes x and the norm of x at once, so that the norm must be separated. nil for none.
	Fused *graph.Node

	Missing string // the reason why x cannot be changed; "" if it can
}

// Norm is a normalisation with its parameters, each [d_model]. A nil Gamma means 1 and a nil Beta means 0.
type Norm struct {
	Node  *graph.Node  // LayerNormalization, or the node of its expansion that multiplies by gamma
	In    *graph.Value // the normalised value; nil for a skip norm, which computes the sum itself
	Gamma *graph.Value
	Beta  *graph.Value
	Out   *graph.Value
	Eps   float64
	Kind  NormKind
}

// NormKind is the quantity that a norm divides by.
type NormKind string

// The kinds of norms. In families with a gain of 1 + w (Gemma), Gamma is the whole gain.
const (
	LayerNorm NormKind = "LayerNorm" // x minus its mean, over the square root of its variance
	RMSNorm   NormKind = "RMSNorm"   // x over its root mean square
)
