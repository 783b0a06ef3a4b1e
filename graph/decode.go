package graph

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Load reads an ONNX file. Weights stay on disk; what is loaded is a few megabytes even for the largest models. External
// data files are opened and their ranges checked. Model functions are inlined. The result satisfies [Check].
func Load(path string) (*Model, error) {
	m, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

func load(path string) (*Model, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil, Hint(errors.New("is a folder, want an ONNX file"), "name the .onnx file itself")
	}
	f, err := openDataFile(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, err
	}
	f.Path = path
	sk, err := skim(f, externalOpener(f))
	if err != nil {
		return nil, err
	}
	m, err := decodeModel(sk)
	if err != nil {
		return nil, err
	}
	m.path, m.file = path, f
	if err := Check(m); err != nil {
		return nil, err
	}
	return m, nil
}

// decoder turns a skeleton into a Model.
type decoder struct {
	model *Model
}

func decodeModel(sk *skeleton) (*Model, error) {
	m := &Model{holes: sk.holes, opsets: map[string]int64{}}
	d := &decoder{model: m}
	var graphBody []byte
	var functions [][]byte
	err := fields(sk.data, func(num protowire.Number, raw, body []byte) error {
		m.records = append(m.records, record{num: int32(num), raw: raw})
		switch num {
		case 1:
			v, _ := protowire.ConsumeVarint(body)
			m.ir = int64(v)
		case 7:
			if graphBody != nil {
				return errors.New("field graph stands twice")
			}
			graphBody = body
		case 8:
			pb := &onnxpb.OperatorSetIdProto{}
			if err := unmarshal.Unmarshal(body, pb); err != nil {
				return fmt.Errorf("opset_import: %w", err)
			}
			m.opsets[ownDomain(pb.GetDomain())] = pb.GetVersion()
		case 14:
			key, value, err := parseEntry(body)
			if err != nil {
				return err
			}
			m.meta = append(m.meta, metaEntry{key, value})
		case 25:
			functions = append(functions, body)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if graphBody == nil {
		return nil, errors.New("not an ONNX model: it holds no graph")
	}
	if len(functions) > 0 {
		if graphBody, err = d.inline(graphBody, functions); err != nil {
			return nil, fmt.Errorf("inline functions: %w", err)
		}
	}
	if m.Graph, err = d.decodeScope(graphBody, nil, "", nil); err != nil {
		return nil, err
	}
	return m, nil
}

// fields calls f for every field of a message: its number, the record with its tag, and the body without tag and length.
func fields(b []byte, f func(num protowire.Number, raw, body []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errors.New("broken message")
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return errors.New("broken message")
		}
		body := b[n : n+m]
		if typ == protowire.BytesType {
			body, _ = protowire.ConsumeBytes(body)
		}
		if err := f(num, b[:n+m], body); err != nil {
			return err
		}
		b = b[n+m:]
	}
	return nil
}

// scope resolves names: the values of a graph, then those of the graphs around it.
type scope struct {
	values map[string]*Value
	outer  *scope
}

func (s *scope) find(name string) *Value {
	for ; s != nil; s = s.outer {
		if v, ok := s.values[name]; ok {
			return v
		}
	}
	return nil
}

func (d *decoder) decodeScope(body []byte, owner *Node, attr string, outer *scope) (*Graph, error) {
	g := &Graph{model: d.model, owner: owner, attr: attr}
	sc := &scope{values: map[string]*Value{}, outer: outer}
	type pending struct {
		node   *Node
		attrs  [][]byte
		inputs []string
	}
	var nodes []pending
	// Names first: nodes may stand in any order in the file.
	err := fields(body, func(num protowire.Number, raw, body []byte) error {
		rec := record{num: int32(num), raw: raw}
		switch num {
		case 1:
			n := &Node{graph: g, raw: body}
			p := pending{node: n}
			err := fields(body, func(num protowire.Number, _, body []byte) error {
				switch num {
				case 1:
					p.inputs = append(p.inputs, string(body))
				case 2:
					n.rawOut = append(n.rawOut, string(body))
				case 3:
					n.name = string(body)
				case 4:
					n.Op = string(body)
				case 5:
					p.attrs = append(p.attrs, body)
				case 7:
					n.Domain = string(body)
				case 8:
					n.overload = string(body)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("node %q: %w", n.name, err)
			}
			n.rawIn, n.label = p.inputs, n.name
			for i, name := range n.rawOut {
				if name == "" {
					n.outs = append(n.outs, nil)
					continue
				}
				v := &Value{name: name, graph: g, node: n, index: i}
				if sc.values[name] != nil {
					return fmt.Errorf("value %q is defined twice", name)
				}
				sc.values[name] = v
				n.outs = append(n.outs, v)
			}
			g.nodes = append(g.nodes, n)
			nodes = append(nodes, p)
			rec.obj = n
		case 2:
			g.name = string(body)
		case 5:
			c, name, err := d.decodeInitializer(body)
			if err != nil {
				return err
			}
			v := sc.values[name]
			switch {
			case v == nil:
				v = &Value{name: name, graph: g}
				sc.values[name] = v
			case v.init != nil || v.node != nil:
				return fmt.Errorf("value %q is defined twice", name)
			}
			v.init = c
			if v.Type.DType == 0 {
				v.Type = constType(c)
			}
			g.inits = append(g.inits, v)
			rec.obj, rec.name = v, name
		case 11:
			name, t, err := decodeValueInfo(body)
			if err != nil {
				return err
			}
			v := sc.values[name]
			switch {
			case v == nil:
				v = &Value{name: name, graph: g}
				sc.values[name] = v
			case v.node != nil || v.input:
				return fmt.Errorf("value %q is defined twice", name)
			}
			v.input, v.Type = true, t
			g.inputs = append(g.inputs, v)
			rec.obj, rec.name = v, name
		}
		g.records = append(g.records, rec)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range g.records {
		if r := &g.records[i]; r.num == 13 || r.num == 12 {
			name, t, err := decodeValueInfo(recordBody(r.raw))
			if err != nil {
				return nil, err
			}
			v := sc.values[name]
			if v == nil {
				if r.num == 12 {
					if outer != nil {
						v = outer.find(name)
					}
					if v == nil {
						return nil, fmt.Errorf("graph output %q has no producer", name)
					}
				} else {
					continue // information about a value that is not there: harmless, kept
				}
			}
			if v.Type.DType == 0 || r.num == 12 && v.init == nil {
				v.Type = t
			}
			r.obj, r.name = v, name
			if r.num == 12 {
				g.outputs = append(g.outputs, v)
			}
		}
	}
	for _, p := range nodes {
		for slot, name := range p.inputs {
			if name == "" {
				p.node.ins = append(p.node.ins, nil)
				continue
			}
			v := sc.find(name)
			if v == nil {
				return nil, fmt.Errorf("%v reads %q, which nothing produces", p.node, name)
			}
			p.node.ins = append(p.node.ins, v)
			v.addUse(Use{p.node, slot})
		}
		for _, body := range p.attrs {
			a, graphs, err := d.decodeAttr(body)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", p.node, err)
			}
			for _, gb := range graphs {
				sub, err := d.decodeScope(gb, p.node, a.Name, sc)
				if err != nil {
					return nil, err
				}
				a.graphs = append(a.graphs, sub)
			}
			p.node.attrs = append(p.node.attrs, a)
		}
	}
	return g, nil
}

func recordBody(raw []byte) []byte {
	_, typ, n := protowire.ConsumeTag(raw)
	if typ == protowire.BytesType {
		b, _ := protowire.ConsumeBytes(raw[n:])
		return b
	}
	return raw[n:]
}

func (d *decoder) decodeInitializer(body []byte) (*Const, string, error) {
	c, err := d.decodeTensor(body)
	if err != nil {
		return nil, "", err
	}
	name := ""
	fields(body, func(num protowire.Number, _, body []byte) error {
		if num == 8 {
			name = string(body)
		}
		return nil
	})
	if name == "" {
		return nil, "", errors.New("an initializer has no name")
	}
	return c, name, nil
}

// constType is the type of a constant: its element type and fixed shape.
func constType(c *Const) Type {
	t := Type{DType: c.DType, Ranked: true}
	for _, d := range c.Dims {
		t.Dims = append(t.Dims, Dim{Size: d})
	}
	return t
}

func decodeValueInfo(body []byte) (string, Type, error) {
	pb := &onnxpb.ValueInfoProto{}
	if err := unmarshal.Unmarshal(body, pb); err != nil {
		return "", Type{}, fmt.Errorf("value information: %w", err)
	}
	var t Type
	tt := pb.GetType().GetTensorType()
	if tt == nil {
		return pb.GetName(), t, nil
	}
	t.DType = DType(tt.GetElemType())
	if tt.Shape != nil {
		t.Ranked = true
		for _, dim := range tt.Shape.GetDim() {
			out := Dim{Size: -1, Name: dim.GetDimParam()}
			if v, ok := dim.GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue); ok {
				out = Dim{Size: v.DimValue}
			}
			t.Dims = append(t.Dims, out)
		}
	}
	return pb.GetName(), t, nil
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
