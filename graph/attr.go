package graph

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Attr is an attribute of a node: a number, text, tensor, list or nested graph.
type Attr struct {
	Name   string
	raw    []byte // AttributeProto as read or made; for one with graphs the graphs are encoded anew
	pb     *onnxpb.AttributeProto
	graphs []*Graph
	tensor *Const
}

// Attrs are attribute values by name, for building nodes. Values are int, int64, float64, string, []int64, []float32,
// *Tensor, or a *Const of the same model, whose bytes stay where they are.
type Attrs map[string]any

// HasAttr reports whether the node carries the attribute.
func (n *Node) HasAttr(name string) bool { return n.attr(name) != nil }

func (n *Node) attr(name string) *Attr {
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

// Int returns an integer attribute, def when it is absent.
func (n *Node) Int(name string, def int64) int64 {
	if a := n.attr(name); a != nil && a.pb != nil && a.pb.I != nil {
		return a.pb.GetI()
	}
	return def
}

// Float returns a float attribute, def when it is absent.
func (n *Node) Float(name string, def float64) float64 {
	if a := n.attr(name); a != nil && a.pb != nil && a.pb.F != nil {
		return float64(a.pb.GetF())
	}
	return def
}

// Str returns a string attribute, def when it is absent.
func (n *Node) Str(name, def string) string {
	if a := n.attr(name); a != nil && a.pb != nil && a.pb.S != nil {
		return string(a.pb.GetS())
	}
	return def
}

// Ints returns an integer-list attribute, nil when it is absent.
func (n *Node) Ints(name string) []int64 {
	if a := n.attr(name); a != nil && a.pb != nil {
		return a.pb.GetInts()
	}
	return nil
}

// Tensor returns a tensor attribute, nil when it is absent.
func (n *Node) Tensor(name string) *Const {
	if a := n.attr(name); a != nil {
		return a.tensor
	}
	return nil
}

// constant returns the tensor of a Constant node, whichever of its attributes holds it.
func (n *Node) constant() *Const {
	for _, a := range n.attrs {
		switch {
		case a.Name == "value":
			return a.tensor
		case a.pb == nil:
		case a.Name == "value_int":
			return constOf(NewInt64([]int64{a.pb.GetI()}))
		case a.Name == "value_ints":
			return constOf(NewInt64(a.pb.GetInts(), int64(len(a.pb.GetInts()))))
		case a.Name == "value_float":
			return constOf(NewFloat32([]float32{a.pb.GetF()}))
		case a.Name == "value_floats":
			return constOf(NewFloat32(a.pb.GetFloats(), int64(len(a.pb.GetFloats()))))
		}
	}
	return nil
}

// decodeAttr reads an AttributeProto body. Graphs in it are decoded by the caller, who knows the scope.
func (d *decoder) decodeAttr(body []byte) (*Attr, [][]byte, error) {
	a := &Attr{raw: body}
	var graphs [][]byte
	var tensor []byte
	for b := body; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if n < 0 || m < 0 {
			return nil, nil, fmt.Errorf("broken attribute")
		}
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			switch num {
			case 1:
				a.Name = string(v)
			case 5:
				tensor = v
			case 6, 11:
				graphs = append(graphs, v)
			}
		}
		b = b[n+m:]
	}
	if len(graphs) > 0 {
		return a, graphs, nil
	}
	if tensor != nil {
		c, _, err := d.decodeTensor(tensor)
		if err != nil {
			return nil, nil, fmt.Errorf("attribute %q: %w", a.Name, err)
		}
		a.tensor = c
		return a, nil, nil
	}
	a.pb = &onnxpb.AttributeProto{}
	if err := unmarshal.Unmarshal(body, a.pb); err != nil {
		return nil, nil, fmt.Errorf("attribute %q: %w", a.Name, err)
	}
	return a, nil, nil
}

var unmarshal = proto.UnmarshalOptions{RecursionLimit: maxDepth}

// newAttr encodes an attribute value.
func newAttr(name string, v any) (*Attr, error) {
	pb := &onnxpb.AttributeProto{Name: &name}
	set := func(t onnxpb.AttributeProto_AttributeType) { pb.Type = &t }
	a := &Attr{Name: name, pb: pb}
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
