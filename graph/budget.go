package graph

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// A file of a few bytes can ask for much memory: two bytes of file make a node, an empty attribute or a dimension, each of
// which takes a hundred bytes or more. A budget limits every quantity that memory and time grow with. A survey of the file
// spends it before anything is kept (see [skim]), so that a refusal costs no more than reading the file once. What a budget
// allows takes less than 256 MB beside the skeleton. Real models stay far below every limit.

// Limits of single things.
const (
	maxDepth       = 100  // nested messages: the limit of protobuf's C++ readers
	maxName        = 4096 // bytes
	maxRank        = 64
	maxEntry       = 3 * maxName // bytes of one external_data entry
	maxMessageSize = 1<<31 - 1   // what protobuf can read
	largePayload   = 1024        // bytes; a payload at least this long stays in the file
	maxPath        = 256         // bytes of the path of calls in the name of a value from a function
	maxDataFiles   = 1024        // external data files of a model
)

// quantity is something that a budget limits.
type quantity int

const (
	qNone quantity = iota

	// Counted in each message separately.
	qElements
	qRank
	qTypeRank
	qExternal
	numOwn

	// Counted over the whole file.
	qBytes
	qFields
	qNodes
	qInitializers
	qPorts
	qEntries
	qFunctions
	qUses
	qResults
	qAttributes
	qDims

	// What calls of functions become.
	qInlined
	qInlinedNames
	qInlinedTries
	numQuantities
)

// A limit is the largest amount of a quantity that is read.
type limit struct {
	max    int64
	what   string
	advice string
}

const (
	simplify = "simplify the model with its exporter's optimizer or onnxsim; decoders need far fewer"
	damaged  = "no exporter writes this many: get the file again from its source"

	noFunctions = "export the model without functions"
)

var limits = [numQuantities]limit{
	qElements: {1 << 20, "elements in a list of an attribute or a tensor", "store long lists as a tensor with raw_data"},
	qRank:     {maxRank, "dimensions in a tensor", damaged},
	qTypeRank: {maxRank, "dimensions in a type", damaged},
	qExternal: {5, "external_data entries in a tensor", damaged}, // ONNX defines five keys

	qBytes:        {256 << 20, "bytes of graph, without large tensors", "store the weights as raw_data or as external data, and long texts in other files"},
	qFields:       {4 << 20, "fields", simplify},
	qNodes:        {50_000, "nodes", simplify},
	qInitializers: {100_000, "initializers", simplify},
	qPorts:        {16_384, "graph inputs and outputs", damaged},
	qEntries:      {1 << 18, "types, metadata and other entries", "remove value_info and metadata_props from the file"},
	qFunctions:    {10_000, "functions", noFunctions},
	qUses:         {1 << 18, "inputs of nodes", simplify},
	qResults:      {1 << 17, "outputs of nodes", simplify},
	qAttributes:   {1 << 17, "attributes", simplify},
	qDims:         {1 << 19, "dimensions in all types", "remove value_info from the file"},

	qInlined:      {32 << 20, "bytes of nodes that calls of functions become", noFunctions},
	qInlinedNames: {8 << 20, "bytes of names in what calls of functions become", noFunctions},
	qInlinedTries: {1 << 20, "names tried for the values of functions", noFunctions},
}

// budget is what a file has used of each quantity.
type budget [numQuantities]int64

// spend counts n more of a quantity.
func (b *budget) spend(q quantity, n int64) error {
	b[q] += n
	return q.allow(b[q])
}

// allow refuses an amount above the limit.
func (q quantity) allow(n int64) error {
	if l := &limits[q]; q != qNone && n > l.max {
		return hint.With(fmt.Errorf("more than %d %s: found %d", l.max, l.what, n), l.advice)
	}
	return nil
}
