package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// functionID identifies the function that a call names.
type functionID struct{ domain, name, overload string }

func (id functionID) String() string {
	s := id.name
	if id.domain != "" {
		s = id.domain + "." + s
	}
	if id.overload != "" {
		s += ":" + id.overload
	}
	return s
}

// function is a FunctionProto, decoded as far as inlining needs.
type function struct {
	id        functionID
	ins, outs []string
	input     map[string]bool   // the names in ins
	defaults  map[string][]byte // AttributeProto by name
	nodes     [][]byte
	infos     [][]byte // ValueInfoProto
	opsets    map[string]int64
	calls     []*function // one for each call site
	count     int         // calls of it in the inlined model; 2 means more than one
	size      int64       // nodes that a call of it becomes, calls included
	ordered   bool        // checkOrder was called
}

func readFunction(body []byte) (*function, error) {
	f := &function{input: map[string]bool{}, defaults: map[string][]byte{}, opsets: map[string]int64{}}
	err := fields(body, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			f.id.name = text(body)
		case 4:
			f.ins = append(f.ins, text(body))
			f.input[text(body)] = true
		case 5:
			f.outs = append(f.outs, text(body))
		case 7:
			f.nodes = append(f.nodes, body)
		case 9:
			domain, version, err := parseOpset(body)
			if err != nil {
				return fmt.Errorf("opset_import: %w", err)
			}
			f.opsets[domain] = version
		case 10:
			f.id.domain = ownDomain(text(body))
		case 11:
			f.defaults[stringField(body, 1)] = body
		case 12:
			f.infos = append(f.infos, body)
		case 13:
			f.id.overload = text(body)
		}
		return nil
	})
	if err == nil && (f.input[""] || slices.Contains(f.outs, "")) {
		err = errors.New("an input or an output has no name")
	}
	if err != nil {
		return nil, fmt.Errorf("function %v: %w", f.id, err)
	}
	return f, nil
}

// checkOrder refuses a body that reads a value before a node produces it. Nodes of a graph may be in any order, but hosts
// refuse a function of which this is true.
func (f *function) checkOrder() error {
	if f.ordered {
		return nil
	}
	f.ordered = true
	_, err := needs{inOrder: true}.nodes(f.nodes, f.ins, nil)
	return err
}

// splitOp splits an op that may have its domain as a prefix: "com.microsoft.FusedMatMul".
func splitOp(full string) (domain, op string) {
	i := strings.LastIndexByte(full, '.')
	if i < 0 {
		return "", full
	}
	return full[:i], full[i+1:]
}

// ownDomain returns "" for ONNX's own operator domain, which files may also call "ai.onnx".
func ownDomain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// stringField returns a string field of a message, or "" when it is absent.
func stringField(body []byte, field protowire.Number) string {
	s := ""
	_ = fields(body, func(num protowire.Number, _, body []byte) error {
		if num == field {
			s = text(body)
		}
		return nil
	})
	return s
}

// callOrder returns the functions so that each precedes those it calls. It refuses a cycle.
func callOrder(all []*function) ([]*function, error) {
	const (
		open = 1
		done = 2
	)
	state := map[*function]int{}
	var out []*function
	var visit func(f *function) error
	visit = func(f *function) error {
		state[f] = open
		for _, g := range f.calls {
			if state[g] == open {
				return fmt.Errorf("function %v calls itself through %v", g.id, f.id)
			}
			if state[g] == 0 {
				if err := visit(g); err != nil {
					return err
				}
			}
		}
		state[f] = done
		out = append(out, f)
		return nil
	}
	for _, f := range all {
		if state[f] == 0 {
			if err := visit(f); err != nil {
				return nil, err
			}
		}
	}
	slices.Reverse(out)
	return out, nil
}

// nodeProto is a NodeProto, decoded except for the contents of its attributes.
type nodeProto struct {
	id        functionID
	label     string
	ins, outs []string
	attrs     [][]byte
}

func readNode(node []byte) (*nodeProto, error) {
	c := &nodeProto{}
	err := fields(node, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			c.ins = append(c.ins, text(body))
		case 2:
			c.outs = append(c.outs, text(body))
		case 3:
			c.label = text(body)
		case 4:
			c.id.name = text(body)
		case 5:
			c.attrs = append(c.attrs, body)
		case 7:
			c.id.domain = ownDomain(text(body))
		case 8:
			c.id.overload = text(body)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", c.label, err)
	}
	return c, nil
}

// branches calls f for every graph in the node's attributes.
func (c *nodeProto) branches(f func(graph []byte) error) error {
	for _, a := range c.attrs {
		err := fields(a, func(num protowire.Number, _, body []byte) error {
			if num == 6 || num == 11 {
				return f(body)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
