package graph

import "google.golang.org/protobuf/encoding/protowire"

// kind is a kind of message of the ONNX schema.
type kind int

const (
	kModel kind = iota + 1
	kGraph
	kNode
	kAttr
	kTensor
	kSparse
	kFunction
	kTraining

	kFlat // the kinds from here on contain no tensor: they are counted and then copied as a whole
	kInfo // ValueInfoProto
	kType
	kTensorType // the tensor type and the sparse tensor type
	kShape
	kDim
	kSequenceType // the sequence type and the optional type
	kMapType
	kOpset
	kEntry // StringStringEntryProto
	kAnnotation
	kOpaqueType
	kSegment
	kDevices // NodeDeviceConfigurationProto
	kSharding
	kShardedDim
	kSimpleSharding
	kGroups // IntIntListEntryProto
	kConfiguration
	numKinds
)

// holdsTensors reports whether messages of this kind can contain a tensor at some depth.
func (k kind) holdsTensors() bool { return k != 0 && k < kFlat }

// fieldSpec describes a field of a message. A reader ignores a known field of another wire type, so such a file is refused.
// protobuf merges repeated occurrences of a singular message, while other readers take the first or the last, so such files
// are refused, too.
type fieldSpec struct {
	name  string // "" for a field that nothing here reads
	child kind   // the message in it, 0 if it holds none
	wire  wire
	once  bool
	count quantity // what each occurrence counts as
}

// wire is a set of wire types.
type wire int

const (
	lengths  wire = iota // length-delimited: a message, string or bytes
	number               // a varint
	float                // a fixed32
	numbers              // varints, packed or not
	fixed32s             // fixed32, packed or not
	fixed64s             // fixed64, packed or not
)

func (w wire) has(typ protowire.Type) bool {
	switch w {
	case number:
		return typ == protowire.VarintType
	case float:
		return typ == protowire.Fixed32Type
	case numbers:
		return typ == protowire.VarintType || typ == protowire.BytesType
	case fixed32s:
		return typ == protowire.Fixed32Type || typ == protowire.BytesType
	case fixed64s:
		return typ == protowire.Fixed64Type || typ == protowire.BytesType
	}
	return typ == protowire.BytesType
}

// width returns the size in bytes of one of several packed numbers, or 0 for varints.
func (w wire) width() int64 {
	switch w {
	case fixed32s:
		return 4
	case fixed64s:
		return 8
	}
	return 0
}

// packed reports whether a length-delimited field of this wire holds packed numbers.
func (w wire) packed() bool { return w >= numbers }

// schema holds the fields of onnx.proto3 that matter for reading, by kind and number.
var schema = [numKinds][32]fieldSpec{
	kModel: {
		1:  {name: "ir_version", wire: number},
		7:  {name: "graph", child: kGraph, once: true},
		8:  {name: "opset_import", child: kOpset, count: qEntries},
		14: {name: "metadata_props", child: kEntry, count: qEntries},
		20: {name: "training_info", child: kTraining, count: qEntries},
		25: {name: "functions", child: kFunction, count: qFunctions},
		26: {name: "configuration", child: kConfiguration, count: qEntries},
	},
	kGraph: {
		1:  {name: "node", child: kNode, count: qNodes},
		2:  {name: "name", once: true},
		5:  {name: "initializer", child: kTensor, count: qInitializers},
		11: {name: "input", child: kInfo, count: qPorts},
		12: {name: "output", child: kInfo, count: qPorts},
		13: {name: "value_info", child: kInfo, count: qEntries},
		14: {name: "quantization_annotation", child: kAnnotation, count: qEntries},
		15: {name: "sparse_initializer", child: kSparse, count: qInitializers},
		16: {name: "metadata_props", child: kEntry, count: qEntries},
	},
	kNode: {
		1: {name: "input", count: qUses},
		2: {name: "output", count: qResults},
		3: {name: "name", once: true},
		4: {name: "op_type", once: true},
		5: {name: "attribute", child: kAttr, count: qAttributes},
		7: {name: "domain", once: true},
		8: {name: "overload", once: true},
		9: {name: "metadata_props", child: kEntry, count: qEntries},

		10: {name: "device_configurations", child: kDevices, count: qEntries},
	},
	kAttr: {
		1:  {name: "name", once: true},
		2:  {name: "f", wire: float},
		3:  {name: "i", wire: number},
		4:  {name: "s", once: true},
		5:  {name: "t", child: kTensor, once: true},
		6:  {name: "g", child: kGraph, once: true},
		7:  {name: "floats", wire: fixed32s, count: qElements},
		8:  {name: "ints", wire: numbers, count: qElements},
		9:  {name: "strings", count: qElements},
		10: {name: "tensors", child: kTensor, count: qElements},
		11: {name: "graphs", child: kGraph, count: qElements},
		14: {name: "tp", child: kType, once: true},
		15: {name: "type_protos", child: kType, count: qElements},
		20: {name: "type", wire: number},
		21: {name: "ref_attr_name", once: true},
		22: {name: "sparse_tensor", child: kSparse, once: true},
		23: {name: "sparse_tensors", child: kSparse, count: qElements},
	},
	kTensor: {
		1:  {name: "dims", wire: numbers, count: qRank},
		2:  {name: "data_type", wire: number},
		3:  {name: "segment", child: kSegment},
		4:  {name: "float_data", wire: fixed32s, count: qElements},
		5:  {name: "int32_data", wire: numbers, count: qElements},
		6:  {name: "string_data", count: qElements},
		7:  {name: "int64_data", wire: numbers, count: qElements},
		8:  {name: "name", once: true},
		9:  {name: "raw_data", once: true},
		10: {name: "double_data", wire: fixed64s, count: qElements},
		11: {name: "uint64_data", wire: numbers, count: qElements},
		13: {name: "external_data", child: kEntry, count: qExternal},
		14: {name: "data_location", wire: number},
		16: {name: "metadata_props", child: kEntry, count: qEntries},
	},
	kSparse: {
		1: {name: "values", child: kTensor, once: true},
		2: {name: "indices", child: kTensor, once: true},
		3: {name: "dims", wire: numbers, count: qRank},
	},
	kFunction: {
		1:  {name: "name", once: true},
		4:  {name: "input", count: qUses},
		5:  {name: "output", count: qResults},
		6:  {name: "attribute", count: qAttributes},
		7:  {name: "node", child: kNode, count: qNodes},
		9:  {name: "opset_import", child: kOpset, count: qEntries},
		10: {name: "domain", once: true},
		11: {name: "attribute_proto", child: kAttr, count: qAttributes},
		12: {name: "value_info", child: kInfo, count: qEntries},
		13: {name: "overload", once: true},
		14: {name: "metadata_props", child: kEntry, count: qEntries},
	},
	kTraining: {
		1: {name: "initialization", child: kGraph, once: true},
		2: {name: "algorithm", child: kGraph, once: true},
		3: {name: "initialization_binding", child: kEntry, count: qEntries},
		4: {name: "update_binding", child: kEntry, count: qEntries},
	},
	kInfo: {
		1: {name: "name"},
		2: {name: "type", child: kType},
		4: {name: "metadata_props", child: kEntry, count: qEntries},
	},
	kType: {
		1: {name: "tensor_type", child: kTensorType},
		4: {name: "sequence_type", child: kSequenceType},
		5: {name: "map_type", child: kMapType},
		7: {name: "opaque_type", child: kOpaqueType},
		8: {name: "sparse_tensor_type", child: kTensorType},
		9: {name: "optional_type", child: kSequenceType},
	},
	kTensorType:   {1: {name: "elem_type", wire: number}, 2: {name: "shape", child: kShape}},
	kShape:        {1: {name: "dim", child: kDim, count: qTypeRank}},
	kDim:          {1: {name: "dim_value", wire: number}, 2: {name: "dim_param"}},
	kSequenceType: {1: {name: "elem_type", child: kType}},
	kMapType:      {1: {name: "key_type", wire: number}, 2: {name: "value_type", child: kType}},
	kOpset:        {1: {name: "domain"}, 2: {name: "version", wire: number}},
	kEntry:        {1: {name: "key"}, 2: {name: "value"}},
	kAnnotation:   {2: {name: "quant_parameter_tensor_names", child: kEntry, count: qEntries}},
	kOpaqueType:   {1: {name: "domain"}, 2: {name: "name"}},
	kSegment:      {1: {name: "begin", wire: number}, 2: {name: "end", wire: number}},

	kDevices:        {1: {name: "configuration_id"}, 2: {name: "sharding_spec", child: kSharding, count: qEntries}},
	kSharding:       {3: {name: "index_to_device_group_map", child: kGroups, count: qEntries}, 4: {name: "sharded_dim", child: kShardedDim, count: qEntries}},
	kShardedDim:     {2: {name: "simple_sharding", child: kSimpleSharding, count: qEntries}},
	kSimpleSharding: {2: {name: "dim_param"}},
	kGroups:         {1: {name: "key", wire: number}},
	kConfiguration:  {1: {name: "name"}},
}

// field returns the description of a field of a message of kind k, or the zero fieldSpec for an unknown field.
func (k kind) field(num protowire.Number) *fieldSpec {
	if num < 0 || int(num) >= len(schema[k]) {
		return &noField
	}
	return &schema[k][num]
}

var noField fieldSpec

// labels are the fields that hold names.
var labels = map[string]bool{"name": true, "input": true, "output": true, "op_type": true, "domain": true, "overload": true, "dim_param": true, "ref_attr_name": true}

// payloadFields are the value fields of TensorProto that may be cut out: raw_data and the packed typed fields.
var payloadFields = [...]string{4: "float_data", 5: "int32_data", 7: "int64_data", 9: "raw_data", 10: "double_data", 11: "uint64_data"}

// payload returns the name of a value field of TensorProto, or "" for any other field.
func payload(num protowire.Number) string {
	if int(num) >= len(payloadFields) {
		return ""
	}
	return payloadFields[num]
}
