package graph

import (
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Parse reads the textual form of a model; see [Write]. Files that the text points to are expected in the working
// directory.
func Parse(text string) (*Model, error) { return ParseIn(".", text) }

// ParseIn reads the textual form of a model whose large tensors are stored in files of the folder dir. These files must
// satisfy the rules for external data in [Load]. Functions in the text are inlined.
func ParseIn(dir, text string) (*Model, error) {
	at := filepath.Join(dir, "text")
	files := openedBy(&DataFile{Path: at, Real: at})
	m, err := parseText(text, files)
	if err != nil {
		files.release()
		return nil, err
	}
	m.files = files
	return m, nil
}

func parseText(text string, files *openFiles) (*Model, error) {
	p := &parser{lexer: newLexer(text), open: files.open}
	p.model()
	if p.err != nil {
		return nil, p.err
	}
	return decodeModel(&p.out)
}

// parser writes the skeleton of a model while it reads the text. The decoder resolves names later.
type parser struct {
	*lexer
	out    skeleton
	open   func(location string) (*DataFile, error)
	depth  int
	graphs int // main graphs seen
}

func (p *parser) put(num protowire.Number, body []byte) {
	p.out.data = appendMessage(p.out.data, num, body)
}

func varintField(out []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(out, num, protowire.VarintType), v)
}

func (p *parser) model() {
	for p.err == nil && p.tok.kind != 0 {
		switch {
		case p.accept("ir"):
			p.out.data = varintField(p.out.data, 1, uint64(p.int()))
		case p.accept("producer"):
			p.out.data = appendStrings(p.out.data, 2, []string{p.str()})
			p.out.data = appendStrings(p.out.data, 3, []string{p.str()})
		case p.accept("opset"):
			p.put(8, p.opset())
		case p.accept("meta"):
			key := p.str()
			p.put(14, encodeEntry(key, p.str()))
		case p.accept("graph"):
			if p.graphs++; p.graphs > 1 {
				p.fail("a second main graph")
			}
			p.put(7, p.graph())
		case p.accept("function"):
			p.put(25, p.function())
		default:
			p.unexpected("ir, opset, producer, meta, function or graph")
		}
	}
}

// opset reads "17" for ONNX's own operators, "com.microsoft 1" for others.
func (p *parser) opset() []byte {
	domain := ""
	if _, err := strconv.Atoi(p.tok.text); p.tok.kind == '"' || err != nil {
		domain = p.name()
	}
	return varintField(appendStrings(nil, 1, []string{domain}), 2, uint64(p.int()))
}

// block is the content of the braces of a graph or function.
type block struct {
	nodes, inits []byte // whole records
	ins, outs    []string
	types        map[string]Type
	order        []string // names of typed values, in order
	opsets       [][]byte
	attrs        []string
	defaults     [][]byte
}

func (b *block) declare(name string, t Type) {
	if _, ok := b.types[name]; !ok {
		b.order = append(b.order, name)
	}
	b.types[name] = t
}

// graph reads a name and a block, and returns the GraphProto.
func (p *parser) graph() []byte {
	name := p.name()
	b := p.block(false)
	out := appendStrings(b.nodes, 2, []string{name})
	out = append(out, b.inits...)
	done := map[string]bool{}
	for _, list := range []struct {
		num   protowire.Number
		names []string
	}{{11, b.ins}, {12, b.outs}, {13, b.order}} {
		for _, name := range list.names {
			if list.num == 13 && done[name] {
				continue
			}
			out = appendMessage(out, list.num, encodeValueInfo(name, b.types[name]))
			done[name] = true
		}
	}
	return out
}

// function reads "domain.Name: overload" and a block, and returns the FunctionProto.
func (p *parser) function() []byte {
	domain, name, overload := p.op()
	b := p.block(true)
	out := appendStrings(nil, 1, []string{name})
	out = appendStrings(out, 4, b.ins)
	out = appendStrings(out, 5, b.outs)
	out = appendStrings(out, 6, b.attrs)
	for _, a := range b.defaults {
		out = appendMessage(out, 11, a)
	}
	out = append(out, functionNodes(b.nodes)...)
	for _, o := range b.opsets {
		out = appendMessage(out, 9, o)
	}
	out = appendStrings(out, 10, []string{domain})
	for _, name := range b.order {
		out = appendMessage(out, 12, encodeValueInfo(name, b.types[name]))
	}
	if overload != "" {
		out = appendStrings(out, 13, []string{overload})
	}
	return out
}

// functionNodes turns nodes of a graph, field 1, into nodes of a function, field 7.
func functionNodes(nodes []byte) []byte {
	var out []byte
	_ = fields(nodes, func(_ protowire.Number, _, body []byte) error {
		out = appendMessage(out, 7, body)
		return nil
	})
	return out
}

func (p *parser) block(function bool) *block {
	b := &block{types: map[string]Type{}}
	if p.depth++; p.depth > maxDepth {
		p.fail("graphs nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	p.expect("{")
	for p.err == nil && !p.accept("}") {
		switch {
		case p.accept("in"):
			name := p.name()
			b.ins = append(b.ins, name)
			if p.accept(":") {
				b.declare(name, p.typ())
			}
			if p.accept("=") {
				b.inits = appendMessage(b.inits, 5, p.tensor(name))
			}
		case p.accept("const"):
			name := p.name()
			p.expect("=")
			b.inits = appendMessage(b.inits, 5, p.tensor(name))
		case p.accept("out"):
			name := p.name()
			b.outs = append(b.outs, name)
			if p.accept(":") {
				b.declare(name, p.typ())
			}
		case function && p.accept("opset"):
			b.opsets = append(b.opsets, p.opset())
		case function && p.accept("attr"):
			name := p.name()
			if p.accept(":") {
				b.defaults = append(b.defaults, p.attr(name))
			} else {
				b.attrs = append(b.attrs, name)
			}
		default:
			b.nodes = appendMessage(b.nodes, 1, p.node(b))
		}
	}
	return b
}

// op reads "MatMul", "com.microsoft.Attention" or "domain" "op", each optionally followed by ": overload".
func (p *parser) op() (domain, op, overload string) {
	quoted := p.tok.kind == '"'
	op = p.name()
	switch {
	case quoted && p.tok.kind == '"':
		domain, op = op, p.name()
	case !quoted:
		domain, op = splitOp(op)
	}
	if p.accept(":") {
		overload = p.name()
	}
	return domain, op, overload
}

// edge reads a name, or "_" for an omitted value.
func (p *parser) edge() string {
	if p.accept("_") {
		return ""
	}
	return p.name()
}

// node reads "outputs = op(inputs) {attributes} @label" and returns the NodeProto.
func (p *parser) node(b *block) []byte {
	var ins, outs []string
	for {
		name := p.edge()
		outs = append(outs, name)
		if p.accept(":") {
			b.declare(name, p.typ())
		}
		if !p.accept(",") {
			break
		}
	}
	p.expect("=")
	domain, op, overload := p.op()
	p.expect("(")
	p.list(")", func() { ins = append(ins, p.edge()) })
	out := appendStrings(nil, 1, ins)
	out = appendStrings(out, 2, outs)
	var attrs []byte
	if p.accept("{") {
		p.list("}", func() {
			name := p.name()
			p.expect(":")
			attrs = appendMessage(attrs, 5, p.attr(name))
		})
	}
	if p.accept("@") {
		out = appendStrings(out, 3, []string{p.name()})
	}
	out = appendStrings(out, 4, []string{op})
	out = append(out, attrs...)
	if domain != "" {
		out = appendStrings(out, 7, []string{domain})
	}
	if overload != "" {
		out = appendStrings(out, 8, []string{overload})
	}
	return out
}

// dtype reads an element type: "float32", or "dtype99" for a type that ONNX does not define.
func (p *parser) dtype() DType {
	word := p.tok.text
	if d, ok := parseDType(word); ok && p.tok.kind == 'w' {
		p.next()
		return d
	}
	if n, err := strconv.ParseInt(strings.TrimPrefix(word, "dtype"), 10, 32); err == nil && strings.HasPrefix(word, "dtype") {
		p.next()
		return DType(n)
	}
	p.unexpected("an element type such as float32")
	return Undefined
}

// typ reads "float32", "float32[]", "float32[batch, 4, ?]".
func (p *parser) typ() Type {
	t := Type{DType: p.dtype()}
	if !p.accept("[") {
		return t
	}
	t.Ranked = true
	p.list("]", func() {
		d := Dim{Size: -1}
		switch {
		case p.accept("?"):
		case p.tok.kind == '"':
			d.Name = p.name()
		default:
			if n, err := strconv.ParseInt(p.tok.text, 10, 64); err == nil {
				d.Size = n
				p.next()
			} else {
				d.Name = p.name()
			}
		}
		t.Dims = append(t.Dims, d)
	})
	return t
}
