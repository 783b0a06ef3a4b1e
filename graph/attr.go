package graph

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Attr is an attribute of a node: a number, text, tensor, list or nested graph.
type Attr struct {
	Name   string
	raw    []byte // AttributeProto as read or made; graphs in it are encoded again
	graphs []*Graph
	tensor *Const
}

// Attrs are attribute values by name, for building nodes. Values are int, int64, float64, string, []int64, []float32,
// *Tensor, or a *Const of the same model, whose bytes are not copied.
type Attrs map[string]any

// HasAttr reports whether the node carries the attribute.
func (n *Node) HasAttr(name string) bool { return n.attr(name) != nil }

func (n *Node) attr(name string) *Attr {
	if n == nil {
		return nil
	}
	for _, a := range n.attrs {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// AttrNames returns the names of the node's attributes in file order.
func (n *Node) AttrNames() []string {
	var out []string
	for _, a := range n.attrs {
		out = append(out, a.Name)
	}
	return out
}

// value decodes the attribute. It returns an empty message if a is nil or holds a tensor or graphs.
func (a *Attr) value() *onnxpb.AttributeProto {
	pb := &onnxpb.AttributeProto{}
	if a.isPlain() {
		_ = unmarshal.Unmarshal(a.raw, pb) // cannot fail: decodeAttr has checked the bytes
	}
	return pb
}

func (a *Attr) isPlain() bool { return a != nil && a.tensor == nil && len(a.graphs) == 0 }

// each calls f with every field of that number and wire type. It reads numbers, strings and short lists without building a
// message.
func (a *Attr) each(field protowire.Number, want protowire.Type, f func(body []byte)) {
	if !a.isPlain() {
		return
	}
	_ = fields(a.raw, func(num protowire.Number, raw, body []byte) error {
		if _, typ, _ := protowire.ConsumeTag(raw); num == field && typ == want {
			f(body)
		}
		return nil
	})
}

// Int returns an integer attribute, or def when it is absent.
func (n *Node) Int(name string, def int64) int64 {
	n.attr(name).each(3, protowire.VarintType, func(body []byte) {
		v, _ := protowire.ConsumeVarint(body)
		def = int64(v)
	})
	return def
}

// Float returns a float attribute, or def when it is absent.
func (n *Node) Float(name string, def float64) float64 {
	n.attr(name).each(2, protowire.Fixed32Type, func(body []byte) {
		v, _ := protowire.ConsumeFixed32(body)
		def = float64(math.Float32frombits(v))
	})
	return def
}

// Str returns a string attribute, or def when it is absent.
func (n *Node) Str(name, def string) string {
	n.attr(name).each(4, protowire.BytesType, func(body []byte) { def = text(body) })
	return def
}

// Ints returns an integer-list attribute, or nil when it is absent.
func (n *Node) Ints(name string) []int64 {
	var out []int64
	list := func(body []byte) { // one number, or several packed numbers
		for len(body) > 0 {
			v, m := protowire.ConsumeVarint(body)
			if m < 0 {
				return
			}
			out, body = append(out, int64(v)), body[m:]
		}
	}
	a := n.attr(name)
	a.each(8, protowire.VarintType, list)
	a.each(8, protowire.BytesType, list)
	return out
}

// Tensor returns a tensor attribute, or nil when it is absent.
func (n *Node) Tensor(name string) *Const {
	if a := n.attr(name); a != nil {
		return a.tensor
	}
	return nil
}

// constantAttrs are the attributes that may hold the value of a Constant node, with their types.
var constantAttrs = map[string]onnxpb.AttributeProto_AttributeType{
	"value": onnxpb.AttributeProto_TENSOR, "sparse_value": onnxpb.AttributeProto_SPARSE_TENSOR,
	"value_float": onnxpb.AttributeProto_FLOAT, "value_floats": onnxpb.AttributeProto_FLOATS,
	"value_int": onnxpb.AttributeProto_INT, "value_ints": onnxpb.AttributeProto_INTS,
	"value_string": onnxpb.AttributeProto_STRING, "value_strings": onnxpb.AttributeProto_STRINGS,
}

// checkConstant refuses a Constant node on which readers disagree. ONNX Runtime takes the first attribute by its type,
// whatever its name, of a node of this name in any domain, and drops all outputs except the first.
func (n *Node) checkConstant() error {
	switch {
	case n.domain != "":
		return fmt.Errorf("%v: ONNX Runtime reads a Constant of any domain as ONNX's own", n)
	case len(n.outs) != 1 || len(n.attrs) != 1:
		return fmt.Errorf("%v has %d outputs and %d attributes, want one of each", n, len(n.outs), len(n.attrs))
	}
	a := n.attrs[0]
	want, known := constantAttrs[a.Name]
	var typ uint64
	_ = fields(a.raw, func(num protowire.Number, _, body []byte) error {
		if num == 20 {
			typ, _ = protowire.ConsumeVarint(body)
		}
		return nil
	})
	if !known || typ != uint64(want) || want == onnxpb.AttributeProto_TENSOR && a.tensor == nil {
		return fmt.Errorf("%v has no value: its attribute is %q of type %d", n, a.Name, typ)
	}
	return nil
}

// constant returns the tensor of a Constant node, whichever attribute holds it.
func (n *Node) constant() *Const {
	for _, a := range n.attrs {
		switch a.Name {
		case "value":
			return a.tensor
		case "value_int":
			return constOf(NewInt64([]int64{n.Int(a.Name, 0)}))
		case "value_ints":
			is := n.Ints(a.Name)
			return constOf(NewInt64(is, int64(len(is))))
		case "value_float":
			return constOf(NewFloat32([]float32{float32(n.Float(a.Name, 0))}))
		case "value_floats":
			fs := a.value().GetFloats()
			return constOf(NewFloat32(fs, int64(len(fs))))
		}
	}
	return nil
}

// decodeAttr reads an AttributeProto body. The caller, which knows the scope, decodes the graphs in it.
func (d *decoder) decodeAttr(body []byte) (*Attr, [][]byte, error) {
	a := d.attrs.new()
	a.raw = body
	var graphs [][]byte
	var tensor []byte
	plain := true // only a name, a number or a string
	for b := body; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if n < 0 || m < 0 {
			return nil, nil, errors.New("broken attribute")
		}
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			switch num {
			case 1:
				a.Name = text(v)
			case 4:
			case 5:
				tensor = v
			case 6, 11:
				graphs = append(graphs, v)
			default:
				plain = false
			}
		}
		b = b[n+m:]
	}
	switch {
	case len(graphs) > 0:
		return a, graphs, nil
	case tensor != nil:
		c, _, err := d.decodeTensor(tensor)
		if err != nil {
			return nil, nil, fmt.Errorf("attribute %q: %w", a.Name, err)
		}
		a.tensor = c
	case !plain:
		if err := unmarshal.Unmarshal(body, &onnxpb.AttributeProto{}); err != nil {
			return nil, nil, fmt.Errorf("attribute %q: %w", a.Name, err)
		}
	}
	return a, nil, nil
}

var unmarshal = proto.UnmarshalOptions{RecursionLimit: maxDepth}

// newAttr encodes an attribute value.
func newAttr(name string, v any) (*Attr, error) {
	pb := &onnxpb.AttributeProto{Name: &name}
	set := func(t onnxpb.AttributeProto_AttributeType) { pb.Type = &t }
	a := &Attr{Name: name}
	switch v := v.(type) {
	case int:
		set(onnxpb.AttributeProto_INT)
		pb.I = proto.Int64(int64(v))
	case int64:
		set(onnxpb.AttributeProto_INT)
		pb.I = proto.Int64(v)
	case float64:
		set(onnxpb.AttributeProto_FLOAT)
		pb.F = proto.Float32(float32(v))
	case string:
		set(onnxpb.AttributeProto_STRING)
		pb.S = []byte(v)
	case []int64:
		set(onnxpb.AttributeProto_INTS)
		pb.Ints = v
	case []float32:
		set(onnxpb.AttributeProto_FLOATS)
		pb.Floats = v
	case *Tensor:
		set(onnxpb.AttributeProto_TENSOR)
		pb.T = tensorProto("", v)
		a.tensor = constOf(v)
	case *Const:
		set(onnxpb.AttributeProto_TENSOR)
		raw, err := marshal.Marshal(pb)
		if err != nil {
			return nil, err
		}
		a.tensor = v
		a.raw = appendMessage(raw, 5, encodeTensor("", v))
		return a, nil
	default:
		return nil, fmt.Errorf("attribute %q of type %T", name, v)
	}
	raw, err := marshal.Marshal(pb)
	if err != nil {
		return nil, err
	}
	a.raw = raw
	return a, nil
}

var marshal = proto.MarshalOptions{Deterministic: true}
