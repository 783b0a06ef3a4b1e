package recognise

import "github.com/onnx-inject/onnx-inject/graph"

// CacheSlots tells which inputs of an attention operator hold earlier keys and values, and which others have a row for each row of
// the batch and can be left out: masks of padding, and lengths. Some operators need the lengths.
type CacheSlots struct {
	Past, Rows []int
	Lengths    bool
}

// CacheOf returns the slots of an attention operator; of any other node, the zero CacheSlots.
func CacheOf(n *graph.Node) CacheSlots { return cacheSlots[n.FullOp()] }

var cacheSlots = map[string]CacheSlots{
	"Attention":                                     {Past: []int{4, 5}, Rows: []int{6}},
	"com.microsoft.Attention":                       {Past: []int{4}, Rows: []int{3}},
	"com.microsoft.QAttention":                      {Past: []int{8}, Rows: []int{5}},
	"com.microsoft.MultiHeadAttention":              {Past: []int{6, 7}, Rows: []int{4, 8}},
	"com.microsoft.GroupQueryAttention":             {Past: []int{3, 4}, Lengths: true},
	"com.microsoft.DecoderMaskedSelfAttention":      {Past: []int{4}, Lengths: true},
	"com.microsoft.DecoderMaskedMultiHeadAttention": {Past: []int{5, 6}, Lengths: true},
}
