package graph

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// attr reads an attribute's value and returns the AttributeProto.
func (p *parser) attr(name string) []byte {
	pb := &onnxpb.AttributeProto{Name: &name}
	set := func(t onnxpb.AttributeProto_AttributeType) { pb.Type = &t }
	var rest []byte // fields that contain tensors or graphs
	word := p.tok.text
	_, isDType := parseDType(word)
	switch {
	case p.tok.kind == '"':
		set(onnxpb.AttributeProto_STRING)
		pb.S = []byte(p.str())
	case p.accept("["):
		p.elements(pb)
	case p.accept("$"):
		pb.RefAttrName = proto.String(p.name())
	case p.tok.kind != 'w':
		p.unexpected("an attribute value")
	case p.accept("graph"):
		set(onnxpb.AttributeProto_GRAPH)
		rest = appendMessage(nil, 6, p.graph())
	case p.accept("graphs"):
		set(onnxpb.AttributeProto_GRAPHS)
		p.expect("[")
		p.list("]", func() {
			p.expect("graph")
			rest = appendMessage(rest, 11, p.graph())
		})
	case p.accept("proto"):
		return p.proto(name)
	case isDType || strings.HasPrefix(word, "dtype"):
		set(onnxpb.AttributeProto_TENSOR)
		rest = appendMessage(nil, 5, p.tensor(""))
	case p.accept("ints"):
		set(onnxpb.AttributeProto_INTS)
		p.empty()
	case p.accept("floats"):
		set(onnxpb.AttributeProto_FLOATS)
		p.empty()
	case p.accept("strings"):
		set(onnxpb.AttributeProto_STRINGS)
		p.empty()
	default:
		i, err := strconv.ParseInt(word, 10, 64)
		if err == nil {
			set(onnxpb.AttributeProto_INT)
			pb.I = &i
			p.next()
			break
		}
		set(onnxpb.AttributeProto_FLOAT)
		pb.F = proto.Float32(p.float())
	}
	out, err := marshal.Marshal(pb)
	if err != nil {
		p.fail("attribute %q: %w", name, err)
	}
	return append(out, rest...)
}

func (p *parser) empty() {
	p.expect("[")
	p.expect("]")
}

func (p *parser) float() float32 {
	f, err := strconv.ParseFloat(p.tok.text, 32)
	if p.tok.kind != 'w' || err != nil && !math.IsInf(f, 0) {
		p.unexpected("a number")
		return 0
	}
	p.next()
	return float32(f)
}

// elements reads a list of strings, of whole numbers, or of numbers with at least one that is not whole.
func (p *parser) elements(pb *onnxpb.AttributeProto) {
	t := onnxpb.AttributeProto_INTS
	var words []string
	p.list("]", func() {
		switch {
		case p.tok.kind == '"':
			t = onnxpb.AttributeProto_STRINGS
			pb.Strings = append(pb.Strings, []byte(p.str()))
			return
		case p.tok.kind != 'w':
			p.unexpected("a number or a string")
			return
		}
		word := p.tok.text
		if i, err := strconv.ParseInt(word, 10, 64); err != nil {
			t = onnxpb.AttributeProto_FLOATS
		} else {
			pb.Ints = append(pb.Ints, i)
		}
		pb.Floats = append(pb.Floats, p.float())
		words = append(words, word)
	})
	if len(pb.Strings) > 0 && len(words) > 0 {
		p.fail("a list that mixes strings and numbers")
	}
	if t != onnxpb.AttributeProto_INTS {
		pb.Ints = nil
	}
	if t != onnxpb.AttributeProto_FLOATS {
		pb.Floats = nil
	}
	pb.Type = &t
}

// proto reads the bytes of an AttributeProto of any other kind.
func (p *parser) proto(name string) []byte {
	b := p.base64()
	pb := &onnxpb.AttributeProto{}
	if err := unmarshal.Unmarshal(b, pb); err != nil || pb.GetName() != name || pb.G != nil || len(pb.Graphs) > 0 || hasHole(kAttr, b) {
		p.fail("attribute %q: the bytes do not encode an attribute of this name", name)
		return nil
	}
	return b
}

// hasHole reports whether a message contains the field that marks a hole. Only the skimmer may write this field.
func hasHole(k kind, b []byte) (found bool) {
	eachHole(k, b, func(uint64) { found = true })
	return found
}

func (p *parser) base64() []byte {
	b, err := base64.StdEncoding.DecodeString(p.str())
	if err != nil {
		p.fail("broken base64")
	}
	return b
}

// tensor reads a tensor and returns the TensorProto, with a hole if the bytes are in a file.
func (p *parser) tensor(name string) []byte {
	t := &Tensor{DType: p.dtype(), Data: []byte{}}
	p.expect("[")
	p.list("]", func() { t.Dims = append(t.Dims, p.int()) })
	if len(t.Dims) > maxRank {
		p.fail("a tensor of more than %d dimensions", maxRank)
	}
	pb := tensorProto(name, t)
	var rest []byte
	switch {
	case p.accept("file"):
		pb.RawData = nil
		rest = varintField(nil, holeField, uint64(p.hole(t)))
	case p.accept("base64"):
		pb.RawData = p.base64()
	case t.DType == String:
		pb.RawData = nil
		p.expect("{")
		p.list("}", func() { pb.StringData = append(pb.StringData, []byte(p.str())) })
	default:
		p.expect("{")
		p.list("}", func() {
			if err := appendElement(t, p.tok.text); err != nil || p.tok.kind != 'w' {
				p.unexpected("a value of " + t.DType.String())
				return
			}
			p.next()
		})
		pb.RawData = t.Data
	}
	out, err := marshal.Marshal(pb)
	if err != nil {
		p.fail("tensor %q: %w", name, err)
	}
	return append(out, rest...)
}

// hole reads the place of a tensor in a file, checks that the range exists, and returns the hole's number.
func (p *parser) hole(t *Tensor) int {
	e := externalEntry{location: p.str(), offset: p.int(), length: p.int()}
	h := hole{field: 13, location: e.location, original: externalRecords(e.location, e.offset, e.length)}
	if p.accept("as") {
		field := p.name()
		i := slices.Index([]string{"int32_data", "int64_data", "uint64_data"}, field)
		if i < 0 {
			p.fail("%q is not a packed field", field)
			return 0
		}
		h.field, h.original = protowire.Number([]int{5, 7, 11}[i]), nil
	}
	if p.err != nil {
		return 0
	}
	span, err := e.span(p.open)
	if err != nil {
		p.fail("%w", err)
		return 0
	}
	h.span = span
	p.out.holes = append(p.out.holes, h)
	return len(p.out.holes) - 1
}
