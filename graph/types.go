package graph

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// constType returns the type of a constant: its element type and fixed shape.
func constType(c *Const) Type {
	t := Type{DType: c.DType, Ranked: true}
	for _, d := range c.Dims {
		t.Dims = append(t.Dims, Dim{Size: d})
	}
	return t
}

// valueInfo reads the name and the type of a ValueInfoProto. A type other than a tensor's gives a zero Type. It does not
// use generated code, because a file has a record for each value.
func (d *decoder) valueInfo(body []byte) (name string, t Type, err error) {
	var typ []byte
	err = fields(body, func(num protowire.Number, _, body []byte) error {
		switch {
		case num == 1:
			name = text(body)
		case num == 2 && typ == nil:
			typ = body[:len(body):len(body)]
		case num == 2: // protobuf merges messages, which equals joining their bytes
			typ = append(typ, body...)
		}
		return nil
	})
	if err == nil {
		t, err = d.typeOf(typ)
	}
	if err != nil {
		return "", Type{}, fmt.Errorf("value information: %w", err)
	}
	return name, t, nil
}

// declaresType reports whether a ValueInfoProto has a type, of a tensor or of anything else.
func declaresType(info []byte) bool {
	found := false
	_ = fields(info, func(num protowire.Number, _, body []byte) error {
		if num != 2 {
			return nil
		}
		return fields(body, func(num protowire.Number, _, _ []byte) error {
			found = found || kType.field(num).child != 0
			return nil
		})
	})
	return found
}

// typeOf reads a TypeProto. Most values of a file have one of a few dozen types, so each is decoded once.
func (d *decoder) typeOf(body []byte) (Type, error) {
	if t, ok := d.types[text(body)]; ok {
		return t, nil
	}
	var t Type
	err := fields(body, func(num protowire.Number, _, body []byte) error {
		switch {
		case num == 1:
			return t.decode(body)
		case kType.field(num).child != 0: // one of several kinds of type: the last counts
			t = Type{}
			return checkType(num, body)
		}
		return nil
	})
	if err == nil {
		d.types[text(body)] = t
	}
	return t, err
}

// checkType refuses a type, other than a tensor's, of no element type: a sequence of nothing, for example. num is its field
// in TypeProto.
func checkType(num protowire.Number, body []byte) error {
	inner := protowire.Number(0)
	switch kType.field(num).child {
	case kTensorType:
		return new(Type).decode(body)
	case kSequenceType:
		inner = 1
	case kMapType:
		inner = 2
	default:
		return nil
	}
	found, key := false, uint64(0)
	err := fields(body, func(num protowire.Number, _, body []byte) error {
		if num != inner {
			if num == 1 {
				key, _ = protowire.ConsumeVarint(body) // of a map
			}
			return nil
		}
		return fields(body, func(num protowire.Number, _, body []byte) error {
			if kType.field(num).child == 0 {
				return nil
			}
			found = true
			return checkType(num, body)
		})
	})
	switch {
	case err != nil:
		return err
	case !found:
		return errors.New("a type without an element type")
	case inner == 2 && key == 0:
		return errors.New("a map type without a key type")
	}
	return nil
}

// decode reads a TypeProto.Tensor: elem_type 1, shape 2.
func (t *Type) decode(body []byte) error {
	err := fields(body, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			v, _ := protowire.ConsumeVarint(body)
			t.DType = DType(v)
		case 2:
			t.Ranked = true
			return fields(body, func(num protowire.Number, _, body []byte) error {
				if num != 1 {
					return nil
				}
				d, err := decodeDim(body)
				t.Dims = append(t.Dims, d)
				return err
			})
		}
		return nil
	})
	if err == nil && !t.DType.known() {
		err = fmt.Errorf("element type %d, which ONNX does not define", int32(t.DType))
	}
	return err
}

// decodeDim reads a TensorShapeProto.Dimension: dim_value 1, dim_param 2. The last one counts.
func decodeDim(body []byte) (Dim, error) {
	d := Dim{Size: -1}
	err := fields(body, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			v, _ := protowire.ConsumeVarint(body)
			d = Dim{Size: int64(v)}
		case 2:
			d = Dim{Size: -1, Name: text(body)}
		}
		return nil
	})
	return d, err
}

// String writes a type as "float32[batch, 4, ?]"; a type of unknown rank has no brackets.
func (t Type) String() string {
	if t.DType == 0 {
		return "?"
	}
	if !t.Ranked {
		return t.DType.String()
	}
	var dims []string
	for _, d := range t.Dims {
		dims = append(dims, d.String())
	}
	return t.DType.String() + "[" + strings.Join(dims, ", ") + "]"
}

// String writes a dimension as its size, its name, or "?".
func (d Dim) String() string {
	switch {
	case d.Size >= 0:
		return fmt.Sprint(d.Size)
	case d.Name != "":
		return d.Name
	}
	return "?"
}

// encodeValueInfo writes what valueInfo reads.
func encodeValueInfo(name string, t Type) []byte {
	out := appendStrings(nil, 1, []string{name})
	if t.DType == 0 {
		return out
	}
	tensor := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(t.DType))
	if t.Ranked {
		var shape []byte
		for _, d := range t.Dims {
			var dim []byte
			if d.Size >= 0 {
				dim = protowire.AppendVarint(protowire.AppendTag(dim, 1, protowire.VarintType), uint64(d.Size))
			} else if d.Name != "" {
				dim = appendStrings(dim, 2, []string{d.Name})
			}
			shape = appendMessage(shape, 1, dim)
		}
		tensor = appendMessage(tensor, 2, shape)
	}
	return appendMessage(out, 2, appendMessage(nil, 1, tensor))
}

// Type is the declared type of a value: its element type and, when known, its shape. Values of one type may share their
// Dims, so make a new slice to change a shape.
type Type struct {
	DType  DType
	Ranked bool // Dims is valid; a ranked type without Dims is a scalar
	Dims   []Dim
}

// Dim is one dimension: a size, a name such as "batch", or neither.
type Dim struct {
	Size int64 // -1 when not fixed
	Name string
}

// TensorType makes a ranked type. Each dimension is an int (size), a string (name), or nil (unknown).
func TensorType(d DType, dims ...any) Type {
	t := Type{DType: d, Ranked: true, Dims: make([]Dim, len(dims))}
	for i, x := range dims {
		switch x := x.(type) {
		case nil:
			t.Dims[i] = Dim{Size: -1}
		case int:
			t.Dims[i] = Dim{Size: int64(x)}
		case int64:
			t.Dims[i] = Dim{Size: x}
		case string:
			t.Dims[i] = Dim{Size: -1, Name: x}
		case Dim:
			t.Dims[i] = x
		default:
			panic(fmt.Sprintf("graph: dimension of type %T", x))
		}
	}
	return t
}
