package graph

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

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
	m.warnings()
	return m, Check(m)
}

// manyNodes is where ONNX Runtime's own load time starts to hurt: 6 s for 20,000 nodes, no answer in a minute for 100,000.
const manyNodes = 20_000

// warnings notes what is odd about a file that was just read.
func (m *Model) warnings() {
	nodes := 0
	for g := range m.Graphs() {
		nodes += len(g.nodes)
	}
	if nodes >= manyNodes {
		m.warn = append(m.warn, fmt.Sprintf("%d nodes: hosts may take long to load it", nodes))
	}
	if slices.ContainsFunc(m.records, func(r record) bool { return r.num == 20 }) {
		m.warn = append(m.warn, "the file holds training information, which is kept as it is")
	}
	for _, f := range m.sources() {
		if f != m.file && f.links > 1 {
			m.warn = append(m.warn, fmt.Sprintf("%s is a hard link: newer ONNX checkers refuse such data files", f.Path))
		}
	}
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
	n := 0
	_ = fields(body, func(num protowire.Number, _, _ []byte) error {
		n++
		return nil
	})
	g.records = make([]record, 0, n)
	sc := &scope{values: make(map[string]*Value, n), outer: outer}
	type pending struct {
		node   *Node
		attrs  [][]byte
		inputs []string
	}
	var nodes []pending
	sparse := map[string]bool{}
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
		case 15:
			sparse[sparseName(body)] = true
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
			// What stands among the outputs wins over value_info, what stands among the inputs over both.
			if t.DType != 0 && (v.Type.DType == 0 || r.num == 12 && v.node != nil && v.graph == g) {
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
			if v == nil && sparse[name] {
				return nil, fmt.Errorf("%v reads %q, a sparse initializer: these are not supported", p.node, name)
			}
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

// sparseName returns the name of a SparseTensorProto: that of its values.
func sparseName(body []byte) string {
	name := ""
	_ = fields(body, func(num protowire.Number, _, body []byte) error {
		if num == 1 {
			name = stringField(body, 8)
		}
		return nil
	})
	return name
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
