package graph

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// attrs writes attributes on one line, or one per line if any of them holds graphs.
func (p *printer) attrs(attrs []*Attr) {
	long := slices.ContainsFunc(attrs, func(a *Attr) bool { return len(a.graphs) > 0 })
	p.buf.WriteString(" {")
	p.indent++
	for i, a := range attrs {
		switch {
		case long:
			p.line("")
			p.start()
		case i > 0:
			p.buf.WriteString(", ")
		}
		p.buf.WriteString(quote(a.Name) + ": ")
		p.attr(a)
	}
	p.indent--
	if long {
		p.line("")
		p.start()
	}
	p.buf.WriteByte('}')
}

func (p *printer) attr(a *Attr) {
	switch {
	case a.isGraphList():
		p.buf.WriteString("graphs[")
		for i, g := range a.graphs {
			if i > 0 {
				p.buf.WriteString(", ")
			}
			p.buf.WriteString("graph ")
			p.graph(g)
		}
		p.buf.WriteByte(']')
	case len(a.graphs) == 1:
		p.buf.WriteString("graph ")
		p.graph(a.graphs[0])
	case a.tensor != nil:
		p.tensor(a.tensor)
	default:
		if s, ok := plainAttr(a.value()); ok {
			p.value(s)
			return
		}
		// A kind that is not read: its bytes, including all payloads.
		fill := &filler{p.model.holes, func(hole) (string, int64, bool, error) { return "", 0, false, nil }}
		whole, err := fill.message(kAttr, a.raw)
		var b bytes.Buffer
		if err == nil {
			err = whole.writeTo(context.Background(), &b)
		}
		if err != nil {
			p.err = fmt.Errorf("attribute %q: %w", a.Name, err)
		}
		p.value(fmt.Sprintf("proto %q", base64.StdEncoding.EncodeToString(b.Bytes())))
	}
}

// isGraphList reports whether the attribute holds a list of graphs, even a list of one.
func (a *Attr) isGraphList() bool {
	list := false
	_ = fields(a.raw, func(num protowire.Number, _, _ []byte) error {
		list = list || num == 11
		return nil
	})
	return list
}

// plainAttr returns the text of a number, string or list attribute. ok is false for all others.
func plainAttr(pb *onnxpb.AttributeProto) (s string, ok bool) {
	if pb.RefAttrName != nil {
		return "", false
	}
	t := pb.GetType()
	if t == onnxpb.AttributeProto_UNDEFINED { // before IR version 2, files did not give the type
		switch {
		case pb.F != nil:
			t = onnxpb.AttributeProto_FLOAT
		case pb.I != nil:
			t = onnxpb.AttributeProto_INT
		case pb.S != nil:
			t = onnxpb.AttributeProto_STRING
		case len(pb.Floats) > 0:
			t = onnxpb.AttributeProto_FLOATS
		case len(pb.Ints) > 0:
			t = onnxpb.AttributeProto_INTS
		case len(pb.Strings) > 0:
			t = onnxpb.AttributeProto_STRINGS
		}
	}
	switch t {
	case onnxpb.AttributeProto_FLOAT:
		return floatText(pb.GetF()), true
	case onnxpb.AttributeProto_INT:
		return strconv.FormatInt(pb.GetI(), 10), true
	case onnxpb.AttributeProto_STRING:
		return strconv.Quote(string(pb.GetS())), true
	case onnxpb.AttributeProto_FLOATS:
		return list("floats", pb.Floats, floatText), true
	case onnxpb.AttributeProto_INTS:
		return list("ints", pb.Ints, func(i int64) string { return strconv.FormatInt(i, 10) }), true
	case onnxpb.AttributeProto_GRAPHS:
		return "graphs[]", true // a non-empty list is printed elsewhere
	case onnxpb.AttributeProto_STRINGS:
		return list("strings", pb.Strings, func(b []byte) string { return strconv.Quote(string(b)) }), true
	}
	return "", false
}

func list[E any](what string, xs []E, text func(E) string) string {
	if len(xs) == 0 {
		return what + "[]"
	}
	ss := make([]string, len(xs))
	for i, x := range xs {
		ss[i] = text(x)
	}
	return "[" + strings.Join(ss, ", ") + "]"
}

// floatText returns a float in a form that cannot be read as an int.
func floatText(f float32) string {
	s := strconv.FormatFloat(float64(f), 'g', -1, 32)
	if strings.Trim(s, "+-0123456789") == "" {
		s += ".0"
	}
	return s
}
