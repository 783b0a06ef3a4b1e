package graph

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// binding is one call of a function. It maps the names and attributes of the body to those of the call.
type binding struct {
	in     *inliner
	f      *function
	prefix string
	names  map[string]string // of this scope; "" for an input that the call omits
	outer  *binding          // the scope around a branch inside the body
	attrs  map[string][]byte // AttributeProto of the call, else the function's default
}

// name returns the name outside the body for a name in the body.
func (b *binding) name(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	for s := b; s != nil; s = s.outer {
		if actual, ok := s.names[name]; ok {
			return actual, nil
		}
	}
	return "", fmt.Errorf("nothing in the function produces %q", name)
}

// renamed returns the message with the name in the given field replaced.
func (b *binding) renamed(body []byte, field protowire.Number) ([]byte, error) {
	name, err := b.name(stringField(body, field))
	return rename(body, field, name), err
}

// node returns a NodeProto of the body as it reads in the place of the call.
func (b *binding) node(node []byte) ([]byte, error) {
	c, err := readNode(node)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(node)+len(b.prefix)*(len(c.ins)+len(c.outs)+1)+64)
	if b.in.functions[c.id] == nil {
		if err := b.in.importOpset(b.f, c.id.domain); err != nil {
			return nil, err
		}
	} else if c.label == "" { // the path of calls continues
		out = appendStrings(out, 3, []string{b.prefix + c.id.name})
	}
	spent := 0
	err = fields(node, func(num protowire.Number, raw, body []byte) error {
		if err := b.in.used.spend(qInlined, int64(len(out)-spent)); err != nil {
			return err
		}
		spent = len(out)
		switch num {
		case 1, 2:
			name, err := b.name(string(body))
			out = appendStrings(out, num, []string{name})
			return err
		case 3:
			if len(body) > 0 {
				out = appendStrings(out, 3, []string{b.prefix + string(body)})
			}
		case 5:
			attr, err := b.attr(body)
			if attr != nil {
				out = appendMessage(out, 5, attr)
			}
			return err
		default:
			out = append(out, raw...)
		}
		return nil
	})
	if err == nil {
		err = b.in.used.spend(qInlined, int64(len(out)-spent))
	}
	return out, err
}

// attr returns an attribute as it reads in the place of the call. A reference takes the call's value, else the function's
// default. Without either, the attribute is left out. Graphs in a value from the call already use the caller's names.
func (b *binding) attr(attr []byte) ([]byte, error) {
	if ref := stringField(attr, 21); ref != "" {
		value := b.attrs[ref]
		if value == nil {
			return nil, nil
		}
		return rename(value, 1, stringField(attr, 1)), nil
	}
	return eachGraph(attr, b.graph)
}

// graph returns a branch inside the body as it reads in the place of the call.
func (b *binding) graph(graph []byte) ([]byte, error) {
	inner := &binding{in: b.in, f: b.f, prefix: b.prefix, names: map[string]string{}, outer: b, attrs: b.attrs}
	names := int64(0)
	err := definitions(graph, false, func(name string) {
		actual := b.prefix + name
		inner.names[name], b.in.taken[actual] = actual, true
		names += int64(len(actual))
	})
	if err == nil {
		err = b.hides(graph)
	}
	if err == nil {
		err = b.in.used.spend(qInlinedNames, names)
	}
	if err != nil {
		return nil, err
	}
	var out []byte
	err = fields(graph, func(num protowire.Number, raw, body []byte) error {
		var changed []byte
		if num != 1 { // a node is counted when it is written
			if err := b.in.used.spend(kGraph.field(num).count, 1); err != nil {
				return err
			}
		}
		var err error
		switch num {
		case 1:
			changed, err = inner.node(body)
		case 5:
			changed, err = inner.renamed(body, 8)
		case 11, 12:
			changed, err = inner.renamed(body, 1)
		case 13:
			if changed, err = inner.renamed(body, 1); err != nil {
				return nil // information about a value that does not exist
			}
		case 15:
			return fmt.Errorf("a sparse initializer in a function is not supported")
		default:
			out = append(out, raw...)
			return nil
		}
		out = appendMessage(out, num, changed)
		return err
	})
	return out, err
}

// hides refuses a branch whose nodes or initializers have the name of an input of the function. ONNX forbids such names. Hosts
// refuse the function or read one value for the other, and ONNX Runtime 1.30 crashes if the call omits that input. The branch
// itself may have inputs of any name, such as the state of a Loop.
func (b *binding) hides(graph []byte) error {
	hidden := ""
	define := func(name string) {
		if b.f.input[name] {
			hidden = name
		}
	}
	err := fields(graph, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			return nodeDefinitions(body, false, define)
		case 5:
			define(stringField(body, 8))
		}
		return nil
	})
	if err == nil && hidden != "" {
		err = hint.With(fmt.Errorf("a branch defines %q, which is also an input of the function", hidden),
			"give the values of the branch other names, or export the model without functions")
	}
	return err
}

// infos returns the types that the function declares for its own values, as value_info of the graph that receives the body.
// Two calls of one function may use two types, so the declarations of a function that is called twice are left out.
func (b *binding) infos() []byte {
	var out []byte
	if b.f.count > 1 {
		return nil
	}
	for _, body := range b.f.infos {
		name := stringField(body, 1)
		if actual := b.names[name]; actual == b.prefix+name {
			out = appendMessage(out, 13, rename(body, 1, actual))
		}
	}
	return out
}

// importOpset ensures that the model imports the version of a domain that a function was written for.
func (in *inliner) importOpset(f *function, domain string) error {
	want := f.opsets[domain]
	m := in.model
	switch have := m.opsets[domain]; {
	case want == 0 || want == have:
	case have == 0:
		m.opsets[domain] = want
		m.newOps = append(m.newOps, domain)
	default:
		what := fmt.Sprintf("domain %q", domain)
		if domain == "" {
			what = "ONNX"
		}
		return hint.With(fmt.Errorf("written for version %d of %s, the model imports version %d", want, what, have),
			"export with one operator version throughout, or without functions")
	}
	return nil
}

// definitions calls f for every value that a graph defines. With deep, values of the branches are included.
func definitions(graph []byte, deep bool, f func(name string)) error {
	return fields(graph, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			return nodeDefinitions(body, deep, f)
		case 5:
			f(stringField(body, 8))
		case 11:
			f(stringField(body, 1))
		}
		return nil
	})
}

func nodeDefinitions(node []byte, deep bool, f func(name string)) error {
	c, err := readNode(node)
	if err != nil {
		return err
	}
	for _, name := range c.outs {
		if name != "" {
			f(name)
		}
	}
	if !deep {
		return nil
	}
	return c.branches(func(g []byte) error { return definitions(g, true, f) })
}
