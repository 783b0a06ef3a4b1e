package graph

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Load reads an ONNX file. Weights stay on disk, so a few megabytes are loaded even for the largest models. External data
// files are opened and their ranges are checked. Model functions are inlined. The result satisfies [Check].
func Load(path string) (*Model, error) {
	m, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

func load(path string) (*Model, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil, hint.With(errors.New("is a folder, want an ONNX file"), "name the .onnx file itself")
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
	files := openedBy(f)
	m, err := read(files)
	if err != nil {
		files.release()
		return nil, err
	}
	m.path, m.file, m.files, m.whole = path, f, files, !m.inlined
	m.warnings()
	return m, nil
}

// read makes a model of an open file.
func read(files *openFiles) (*Model, error) {
	sk, err := skim(files.model, files.open)
	if err != nil {
		return nil, err
	}
	m, err := decodeModel(sk)
	if err != nil {
		return nil, err
	}
	return m, m.checkHosts()
}

// checkHosts refuses what ONNX Runtime refuses of any file, whatever its operators. A model in text may be incomplete.
func (m *Model) checkHosts() error {
	for g := range m.Graphs() {
		labels := make(map[string]bool, len(g.nodes))
		for _, n := range g.nodes {
			if n.name != "" && labels[n.name] {
				return sameLabel(n.name)
			}
			labels[n.name] = true
		}
	}
	for _, r := range m.Graph.records {
		if r.num == 11 && !declaresType(recordBody(r.raw)) {
			return fmt.Errorf("input %v has no type", r.value)
		}
	}
	old := m.ir < 4 && slices.ContainsFunc(m.records, func(r record) bool { return r.num == 1 })
	for _, v := range m.Graph.inits {
		// Before IR version 4 initializers had to be inputs. ONNX Runtime still requires it of those that no node of the main
		// graph reads.
		here := func(u Use) bool { return u.Node.graph == m.Graph }
		if old && !v.input && !slices.ContainsFunc(v.uses, here) && !v.IsOutput() {
			return fmt.Errorf("initializer %v is not an input, which IR version %d requires, and nothing reads it", v, m.ir)
		}
	}
	return nil
}

// ManyNodes is the number of nodes from which ONNX Runtime's load time matters: 6 s for 20,000 nodes, more than a minute
// for 100,000.
const ManyNodes = 20_000

// warnings records what is unusual about a file that was just read.
func (m *Model) warnings() {
	nodes := 0
	for g := range m.Graphs() {
		nodes += len(g.nodes)
	}
	if nodes >= ManyNodes {
		m.warn = append(m.warn, fmt.Sprintf("%d nodes: hosts may take long to load it", nodes))
	}
	if slices.ContainsFunc(m.records, func(r record) bool { return r.num == 20 }) {
		m.warn = append(m.warn, "the file holds training information, which is kept as it is")
	}
	for _, f := range m.Sources() {
		if f != m.file && f.links > 1 {
			m.warn = append(m.warn, fmt.Sprintf("%s is a hard link: newer ONNX checkers refuse such data files", f.Path))
		}
	}
}

// decoder turns a skeleton into a Model. Names, and the elements of small tensors, share the memory of the skeleton.
type decoder struct {
	model   *Model
	nodes   slab[Node]
	values  slab[Value]
	edges   slab[*Value]
	uses    slab[Use]
	attrs   slab[Attr]
	lists   slab[*Attr]
	consts  slab[Const]
	tensors slab[Tensor]
	types   map[string]Type // types read so far, by the bytes of their TypeProto
}

// decodeModel makes a model that satisfies [Check]. It refuses a file that violates an invariant.
func decodeModel(sk *skeleton) (*Model, error) {
	m := &Model{content: content{holes: sk.holes, opsets: map[string]int64{}}}
	d := &decoder{model: m, types: map[string]Type{}}
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
				return errors.New("field graph appears twice")
			}
			graphBody = body
		case 8:
			domain, version, err := parseOpset(body)
			if err != nil {
				return fmt.Errorf("opset_import: %w", err)
			}
			m.opsets[domain] = version
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
		return nil, errNoGraph
	}
	if len(functions) > 0 {
		if graphBody, err = d.inline(graphBody, functions); err != nil {
			return nil, fmt.Errorf("inline functions: %w", err)
		}
	}
	if m.Graph, err = d.graph(graphBody, nil, "", nil); err != nil {
		return nil, err
	}
	s := newSorter(m)
	for g := range m.Graphs() {
		if _, cycle := s.sorted(g); cycle != nil {
			return nil, fmt.Errorf("%v depends on itself", cycle)
		}
	}
	return m, nil
}

// parseOpset reads an OperatorSetIdProto: domain 1, version 2.
func parseOpset(body []byte) (domain string, version int64, err error) {
	err = fields(body, func(num protowire.Number, raw, body []byte) error {
		switch _, typ, _ := protowire.ConsumeTag(raw); {
		case num == 1 && typ == protowire.BytesType:
			domain = text(body)
		case num == 2 && typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(body)
			version = int64(v)
		}
		return nil
	})
	return ownDomain(domain), version, err
}

// fields calls f for every field of a message, with its number, the record including its tag, and the body without tag and
// length.
func fields(b []byte, f func(num protowire.Number, raw, body []byte) error) error {
	for len(b) > 0 {
		num, body, n := nextField(b)
		if n < 0 {
			return errors.New("broken message")
		}
		if err := f(num, b[:n], body); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// nextField reads the field at the start of b. n is its length in bytes including the tag, and negative when the field is
// broken.
func nextField(b []byte) (num protowire.Number, body []byte, n int) {
	if len(b) > 1 && b[0]&0x87 == byte(protowire.BytesType) && b[0] > 7 && b[1] < 0x80 && int(b[1]) <= len(b)-2 {
		n := 2 + int(b[1]) // most fields: bytes with a number below 16, shorter than 128
		return protowire.Number(b[0] >> 3), b[2:n], n
	}
	num, typ, tag := protowire.ConsumeTag(b)
	if tag < 0 {
		return 0, nil, tag
	}
	value := protowire.ConsumeFieldValue(num, typ, b[tag:])
	if value < 0 {
		return 0, nil, value
	}
	body = b[tag : tag+value]
	if typ == protowire.BytesType {
		body, _ = protowire.ConsumeBytes(body)
	}
	return num, body, tag + value
}

// text returns bytes of a skeleton as a string that shares their memory. This is safe because nothing changes the bytes.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// recordBody returns the body of a record: the record without its tag and, if it has one, its length.
func recordBody(raw []byte) []byte {
	_, typ, n := protowire.ConsumeTag(raw)
	if typ == protowire.BytesType {
		b, _ := protowire.ConsumeBytes(raw[n:])
		return b
	}
	return raw[n:]
}
