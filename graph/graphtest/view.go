package graphtest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// View is what a reader sees in a model, so that two readers can be compared. Keys are names. A key in a branch begins with
// the first output of the node that holds it and the attribute: "y.then_branch w".
type View struct {
	Ports   map[string]string // "input 0": name and type; "output 0": name
	Tensors map[string]string // by name: type, shape and a checksum of the bytes
	Nodes   map[string]NodeView
}

// NodeView is a node of a [View], by its first output. Attributes are not part of it, because ONNX Runtime writes those that
// have their default value.
type NodeView struct {
	Op        string
	Ins, Outs []string
}

// First returns the name of the first output.
func (n NodeView) First() string { return firstName(n.Outs) }

func newView() *View {
	return &View{map[string]string{}, map[string]string{}, map[string]NodeView{}}
}

// ViewOf returns the view of a loaded model. A tensor is an initializer or the value of a Constant node, because ONNX Runtime
// turns one into the other. Of strings, only the number is compared. Inputs that are also initializers are not inputs.
func ViewOf(m *graph.Model) (*View, error) {
	v := newView()
	return v, v.scope("", m.Graph)
}

func (v *View) scope(path string, g *graph.Graph) error {
	for i, x := range g.Inputs() {
		v.Ports[fmt.Sprintf("%sinput %d", path, i)] = x.Name() + " " + x.Type().String()
	}
	for i, x := range g.Outputs() {
		v.Ports[fmt.Sprintf("%soutput %d", path, i)] = x.Name()
	}
	for _, x := range g.Initializers() {
		if err := v.constant(path, x); err != nil {
			return err
		}
	}
	for _, n := range g.Nodes() {
		if c := n.Out(0).Const(); c != nil {
			if err := v.constant(path, n.Out(0)); err != nil {
				return err
			}
			continue
		}
		names := func(xs []*graph.Value) []string {
			var out []string
			for _, x := range xs {
				out = append(out, x.Name())
			}
			return out
		}
		v.node(path, n.FullOp(), names(n.Inputs()), names(n.Outputs()))
		for _, b := range n.Branches() {
			if err := v.scope(path+firstName(names(n.Outputs()))+"."+b.Attr()+" ", b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *View) constant(path string, x *graph.Value) error {
	c := x.Const()
	var data []byte
	if c.DType != graph.String {
		t, err := c.Load()
		if err != nil {
			return fmt.Errorf("%v: %w", x, err)
		}
		data = t.Data
	}
	v.tensor(path, x.Name(), c.DType, c.Dims, data)
	return nil
}

func (v *View) tensor(path, name string, d graph.DType, dims []int64, data []byte) {
	v.Tensors[path+name] = fmt.Sprintf("%v%v %x", d, append([]int64{}, dims...), sha256.Sum256(data))
}

func (v *View) node(path, op string, ins, outs []string) {
	trim := func(names []string) []string { // trailing omitted edges may be left out
		for len(names) > 0 && names[len(names)-1] == "" {
			names = names[:len(names)-1]
		}
		return slices.Clone(names)
	}
	v.Nodes[path+firstName(outs)] = NodeView{op, trim(ins), trim(outs)}
}

func firstName(names []string) string {
	i := slices.IndexFunc(names, func(name string) bool { return name != "" })
	if i < 0 {
		return ""
	}
	return names[i]
}

// ParseView returns the view that protobuf's own decoder gives of a file's bytes. External data is in the folder dir.
// Functions are not inlined.
func ParseView(data []byte, dir string) (*View, error) {
	var pb onnxpb.ModelProto
	if err := proto.Unmarshal(data, &pb); err != nil {
		return nil, err
	}
	v := newView()
	return v, v.proto("", pb.Graph, dir)
}

func (v *View) proto(path string, g *onnxpb.GraphProto, dir string) error {
	constant := map[string]bool{}
	for _, t := range g.Initializer {
		constant[t.GetName()] = true
		if err := v.protoTensor(path, t.GetName(), t, dir); err != nil {
			return err
		}
	}
	i := 0
	for _, x := range g.Input {
		if !constant[x.GetName()] {
			v.Ports[fmt.Sprintf("%sinput %d", path, i)] = x.GetName() + " " + protoType(x.Type).String()
			i++
		}
	}
	for i, x := range g.Output {
		v.Ports[fmt.Sprintf("%soutput %d", path, i)] = x.GetName()
	}
	for _, n := range g.Node {
		if t := constantOf(n); t != nil {
			if err := v.protoTensor(path, n.Output[0], t, dir); err != nil {
				return err
			}
			continue
		}
		op := n.GetOpType()
		if d := n.GetDomain(); d != "" && d != "ai.onnx" {
			op = d + "." + op
		}
		for _, a := range n.Attribute {
			for _, b := range append(a.Graphs, a.G) {
				if b != nil {
					if err := v.proto(path+firstName(n.Output)+"."+a.GetName()+" ", b, dir); err != nil {
						return err
					}
				}
			}
		}
		v.node(path, op, n.Input, n.Output)
	}
	return nil
}

// constantOf returns the tensor of a Constant node, or nil for any other node.
func constantOf(n *onnxpb.NodeProto) *onnxpb.TensorProto {
	if n.GetOpType() != "Constant" || n.GetDomain() != "" && n.GetDomain() != "ai.onnx" || len(n.Output) == 0 {
		return nil
	}
	typ := func(d graph.DType) *int32 { x := int32(d); return &x }
	for _, a := range n.Attribute {
		switch a.GetName() {
		case "value":
			return a.T
		case "value_int":
			return &onnxpb.TensorProto{DataType: typ(graph.Int64), Dims: []int64{}, Int64Data: []int64{a.GetI()}}
		case "value_ints":
			return &onnxpb.TensorProto{DataType: typ(graph.Int64), Dims: []int64{int64(len(a.Ints))}, Int64Data: a.Ints}
		case "value_float":
			return &onnxpb.TensorProto{DataType: typ(graph.Float32), Dims: []int64{}, FloatData: []float32{a.GetF()}}
		case "value_floats":
			return &onnxpb.TensorProto{DataType: typ(graph.Float32), Dims: []int64{int64(len(a.Floats))}, FloatData: a.Floats}
		}
	}
	return nil
}

func (v *View) protoTensor(path, name string, t *onnxpb.TensorProto, dir string) error {
	data, err := protoBytes(t, dir)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	v.tensor(path, name, graph.DType(t.GetDataType()), t.Dims, data)
	return nil
}

// protoBytes returns the dense little-endian bytes of a tensor, whichever field holds them.
func protoBytes(t *onnxpb.TensorProto, dir string) ([]byte, error) {
	d := graph.DType(t.GetDataType())
	if d == graph.String {
		return nil, nil
	}
	if t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL {
		return externalBytes(t, d, dir)
	}
	if t.RawData != nil {
		return t.RawData, nil
	}
	var out []byte
	for _, x := range t.FloatData {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	for _, x := range t.DoubleData {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(x))
	}
	for _, x := range t.Int64Data {
		out = binary.LittleEndian.AppendUint64(out, uint64(x))
	}
	width := max(d.Bits()/8, 1) // types below one byte are packed
	for _, x := range t.Int32Data {
		out = append(out, binary.LittleEndian.AppendUint32(nil, uint32(x))[:min(width, 4)]...)
	}
	for _, x := range t.Uint64Data {
		out = append(out, binary.LittleEndian.AppendUint64(nil, x)[:min(width, 8)]...)
	}
	return out, nil
}

func externalBytes(t *onnxpb.TensorProto, d graph.DType, dir string) ([]byte, error) {
	size, err := graph.ByteSize(d, t.Dims)
	if err != nil {
		return nil, err
	}
	location, offset := "", int64(0)
	for _, e := range t.ExternalData {
		switch e.GetKey() {
		case "location":
			location = e.GetValue()
		case "offset":
			if offset, err = strconv.ParseInt(e.GetValue(), 10, 64); err != nil {
				return nil, err
			}
		}
	}
	f, err := os.Open(filepath.Join(dir, location))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := make([]byte, size)
	_, err = f.ReadAt(out, offset)
	return out, err
}

func protoType(t *onnxpb.TypeProto) graph.Type {
	tensor := t.GetTensorType()
	if tensor == nil {
		return graph.Type{}
	}
	out := graph.Type{DType: graph.DType(tensor.GetElemType()), Ranked: tensor.Shape != nil}
	for _, d := range tensor.GetShape().GetDim() {
		x := graph.Dim{Size: -1, Name: d.GetDimParam()}
		if _, fixed := d.Value.(*onnxpb.TensorShapeProto_Dimension_DimValue); fixed {
			x = graph.Dim{Size: d.GetDimValue()}
		}
		out.Dims = append(out.Dims, x)
	}
	return out
}

// Functions returns the functions that a file's bytes define, as protobuf's own decoder reads them: domain.name, in the
// order of the file.
func Functions(data []byte) ([]string, error) {
	var pb onnxpb.ModelProto
	if err := proto.Unmarshal(data, &pb); err != nil {
		return nil, err
	}
	var out []string
	for _, f := range pb.Functions {
		out = append(out, f.GetDomain()+"."+f.GetName())
	}
	return out, nil
}

// WithOutputs returns a file's bytes with more outputs in its main graph. It adds a second graph field, which protobuf
// merges with the first, so the bytes of the file itself stay as they are.
func WithOutputs(data []byte, names []string) []byte {
	g := &onnxpb.GraphProto{}
	for _, name := range names {
		g.Output = append(g.Output, &onnxpb.ValueInfoProto{Name: proto.String(name)})
	}
	more, _ := proto.Marshal(&onnxpb.ModelProto{Graph: g}) // plain strings cannot fail
	return append(slices.Clone(data), more...)
}
