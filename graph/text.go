package graph

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Format returns the textual form of a model, as printed by [Write].
func Format(m *Model) string {
	var b strings.Builder
	if err := Write(&b, m); err != nil {
		fmt.Fprintf(&b, "# incomplete: %q\n", err.Error())
	}
	return b.String()
}

// Write prints a model, for people, golden files and tests:
//
//	ir 8
//	opset 17
//	opset com.microsoft 1
//	producer "pytorch" "2.5.0"
//	meta "key" "value"
//
//	graph main {
//	  in x: float32[batch, seq, 4]
//	  const b = float32[4] {1, 2, 3, 4}
//	  const w = float32[4, 4096] file "model.onnx" 1024 65536
//	  h: float32[batch, seq, 4] = Add(x, b) @/h.0/Add
//	  p, _ = com.example.Pair(h, _, x) {axis: -1, eps: 1e-05, mode: "a", perm: [0, 1]}
//	  y = If(c) {
//	    then_branch: graph then {
//	      a = Neg(p)
//	      out a
//	    }
//	    else_branch: graph else {
//	      out p
//	    }
//	  }
//	  out y
//	}
//
// A name is written bare if it consists of letters, digits and _ . / + - or a double colon. Otherwise it is quoted with
// Go's escapes, so that no raw bytes reach a terminal. "_" is an omitted input or output, "@" precedes a node's label, and
// "#" starts a comment. A whole number is an int attribute; a number with a point or an exponent is a float. An empty list
// states its element type: ints[]. A tensor is its type, followed by its values in braces, its bytes in base64, or a place
// in a file: location (relative to the model's folder), offset, length, and for packed numbers "as int64_data". Line ends
// have no meaning.
//
// [ParseIn] reads the text back. It needs the folder of the model's file for the large tensors that the text only points
// to. It also reads functions, which it inlines; they are never printed:
//
//	function pkg.Scale {
//	  opset 17
//	  attr factor
//	  attr axis: 0
//	  in x
//	  c = Constant() {value_float: $factor}
//	  y = Mul(x, c)
//	  out y
//	}
//
// Doc strings, unknown fields, sparse initializers and types other than tensors are not part of the text.
func Write(w io.Writer, m *Model) error {
	_, err := writeText(w, m, math.MaxInt)
	return err
}

// longText is the number of characters from which [WriteShort] leaves a value out.
const longText = 120

// WriteShort is [Write] for people alone: it writes "…" in place of a tensor, an attribute or a metadata value whose text is long,
// and returns how many it left out. [ParseIn] refuses such a text.
func WriteShort(w io.Writer, m *Model) (left int, err error) { return writeText(w, m, longText) }

func writeText(w io.Writer, m *Model, most int) (left int, err error) {
	p := &printer{model: m, most: most}
	p.line("ir %d", m.ir)
	domains := make([]string, 0, len(m.opsets))
	for d := range m.opsets {
		domains = append(domains, d)
	}
	slices.Sort(domains)
	for _, d := range domains {
		if d == "" {
			p.line("opset %d", m.opsets[d])
		} else {
			p.line("opset %s %d", quoteNumber(d), m.opsets[d])
		}
	}
	if name, version := m.producer(); name != "" {
		p.line("producer %q %q", name, version)
	}
	for _, e := range m.meta {
		fmt.Fprintf(&p.buf, "meta %q ", e.key)
		p.value(strconv.Quote(e.value))
		p.line("")
	}
	p.line("")
	p.buf.WriteString("graph ")
	p.graph(m.Graph)
	p.line("")
	if p.err != nil {
		return 0, p.err
	}
	_, err = w.Write(p.buf.Bytes())
	return p.left, err
}

// producer returns producer_name and producer_version of the file.
func (m *Model) producer() (name, version string) {
	for _, r := range m.records {
		switch r.num {
		case 2:
			name = string(recordBody(r.raw))
		case 3:
			version = string(recordBody(r.raw))
		}
	}
	return name, version
}

type printer struct {
	model  *Model
	buf    bytes.Buffer
	indent int
	most   int // characters of a value
	left   int // values left out
	err    error
}

// value writes the text of a value, unless it is too long.
func (p *printer) value(s string) {
	if len(s) > p.most {
		p.left++
		s = "…"
	}
	p.buf.WriteString(s)
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.buf, format, args...)
	p.buf.WriteByte('\n')
}

func (p *printer) start() { p.buf.WriteString(strings.Repeat("  ", p.indent)) }

func (p *printer) graph(g *Graph) {
	p.line("%s {", quote(g.name))
	p.indent++
	for _, v := range g.inputs {
		p.start()
		p.buf.WriteString("in " + define(v))
		if v.init != nil {
			p.buf.WriteString(" = ")
			p.tensor(v.init)
		}
		p.line("")
	}
	for _, v := range g.inits {
		if v.input {
			continue
		}
		p.start()
		p.buf.WriteString("const " + quote(v.name) + " = ")
		p.tensor(v.init)
		p.line("")
	}
	for _, n := range g.nodes {
		p.node(n)
	}
	for _, v := range g.outputs {
		p.start()
		p.line("out %s", quote(v.name))
	}
	p.indent--
	p.start()
	p.buf.WriteByte('}')
}

// define returns the text that defines a value: its name and its declared type.
func define(v *Value) string {
	if v.typ.DType == 0 {
		return quote(v.name)
	}
	return quote(v.name) + ": " + typeText(v.typ)
}

func typeText(t Type) string {
	s := dtypeText(t.DType)
	if !t.Ranked {
		return s
	}
	dims := make([]string, len(t.Dims))
	for i, d := range t.Dims {
		dims[i] = d.String()
		if d.Size < 0 && d.Name != "" {
			dims[i] = quoteNumber(d.Name)
		}
	}
	return s + "[" + strings.Join(dims, ", ") + "]"
}

func dtypeText(d DType) string {
	if _, ok := dtypes[d]; ok {
		return d.String()
	}
	return fmt.Sprintf("dtype%d", int32(d))
}

func (p *printer) node(n *Node) {
	outs := make([]string, len(n.outs))
	for i, v := range n.outs {
		outs[i] = "_"
		if v != nil {
			outs[i] = define(v)
		}
	}
	ins := make([]string, len(n.ins))
	for i, v := range n.ins {
		ins[i] = "_"
		if v != nil {
			ins[i] = quote(v.name)
		}
	}
	p.start()
	fmt.Fprintf(&p.buf, "%s = %s(%s)", strings.Join(outs, ", "), opText(n), strings.Join(ins, ", "))
	if len(n.attrs) > 0 {
		p.attrs(n.attrs)
	}
	if n.name != "" {
		p.buf.WriteString(" @" + quote(n.name))
	}
	p.line("")
}

// opText returns an op with its domain. Splitting the text at its last point must give both again; otherwise each is
// quoted.
func opText(n *Node) string {
	s := n.FullOp()
	if strings.Contains(n.op, ".") || quote(s) != s {
		s = strconv.Quote(n.op)
		if n.domain != "" && n.domain != "ai.onnx" {
			s = strconv.Quote(n.domain) + " " + s
		}
	}
	if n.overload != "" {
		s += ": " + quote(n.overload)
	}
	return s
}

// location returns the name of the file that holds a constant, relative to the model's folder.
func (p *printer) location(c *Const) string {
	if c.ext != "" {
		return c.ext
	}
	return filepath.Base(p.model.path)
}
