package graph

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// TestSchema holds the schema to the code that protoc made of onnx.proto. Every field in the schema has its name and wire
// type, and no message is missing: C++ readers refuse a file with a broken message in any of them.
func TestSchema(t *testing.T) {
	seen := map[kind]bool{}
	var check func(k kind, m protoreflect.MessageDescriptor)
	check = func(k kind, m protoreflect.MessageDescriptor) {
		if seen[k] {
			return
		}
		seen[k] = true
		for num := range protowire.Number(len(schema[k])) {
			if spec := schema[k][num]; spec.name != "" && m.Fields().ByNumber(num) == nil {
				t.Errorf("%s has no field %d, which the schema calls %s", m.Name(), num, spec.name)
			}
		}
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			spec := k.field(f.Number())
			if spec.name == "" {
				if f.Kind() == protoreflect.MessageKind {
					t.Errorf("message %s.%s (%d) is not in the schema", m.Name(), f.Name(), f.Number())
				}
				continue
			}
			if spec.name != string(f.Name()) {
				t.Errorf("%s.%s (%d) is called %s", m.Name(), f.Name(), f.Number(), spec.name)
			}
			for _, typ := range []protowire.Type{protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType} {
				if got, want := spec.wire.has(typ), readsWire(f, typ); got != want {
					t.Errorf("%s.%s: wire type %d is read: %v, want %v", m.Name(), f.Name(), typ, got, want)
				}
			}
			if spec.once && f.IsList() {
				t.Errorf("%s.%s may appear only once, and is a list", m.Name(), f.Name())
			}
			if f.Kind() != protoreflect.MessageKind {
				if spec.child != 0 {
					t.Errorf("%s.%s is no message", m.Name(), f.Name())
				}
				continue
			}
			if spec.child == 0 {
				t.Errorf("%s.%s is a message", m.Name(), f.Name())
				continue
			}
			check(spec.child, f.Message())
		}
	}
	check(kModel, (&onnxpb.ModelProto{}).ProtoReflect().Descriptor())
	for k := kModel; k < numKinds; k++ {
		if k != kFlat && !seen[k] {
			t.Errorf("kind %d is not reached", k)
		}
	}
}

// readsWire reports whether protobuf's readers accept a wire type for a field.
func readsWire(f protoreflect.FieldDescriptor, typ protowire.Type) bool {
	var one protowire.Type
	switch f.Kind() {
	case protoreflect.FloatKind:
		one = protowire.Fixed32Type
	case protoreflect.DoubleKind:
		one = protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return typ == protowire.BytesType
	default:
		one = protowire.VarintType
	}
	return typ == one || f.IsList() && typ == protowire.BytesType
}
