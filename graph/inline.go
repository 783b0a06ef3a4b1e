package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Inlining works on the skeleton, before anything is decoded. The function's nodes, renamed, replace a call of a model
// function. The rest of the package sees a model without functions.
//
//	y = pkg.Scale(x) @/h.0/scale      function pkg.Scale { in a; b = Sqrt(a); r = Mul(b, a); out r }
//	        becomes
//	/h.0/scale/b = Sqrt(x)
//	y = Mul(/h.0/scale/b, x)
//
// Inputs and outputs of the function take the names used in the call. Every other name is prefixed with the path of calls.
// A call may omit trailing inputs and any output. Calls of domains that the file does not define are operators.

type inliner struct {
	model     *Model
	functions map[functionID]*function
	survey    bool // nothing is written: only the budget is spent
	used      budget
	taken     map[string]bool // value names of every scope, and prefixes already used
	numbers   map[string]int  // the number of the next prefix, by stem
}

// inline returns the main graph's bytes with every call of a function replaced by its body. Like [skim], it first surveys
// what it will write, because a few functions that call each other twice become any number of nodes.
func (d *decoder) inline(graph []byte, functions [][]byte) ([]byte, error) {
	in := &inliner{model: d.model, functions: map[functionID]*function{}}
	var all []*function
	for _, body := range functions {
		f, err := readFunction(body)
		if err != nil {
			return nil, err
		}
		if in.functions[f.id] != nil {
			return nil, fmt.Errorf("function %v is defined twice", f.id)
		}
		in.functions[f.id] = f
		all = append(all, f)
	}
	for _, f := range all {
		for _, n := range f.nodes {
			if err := in.sites(n, &f.size, func(g *function) { f.calls = append(f.calls, g) }); err != nil {
				return nil, err
			}
		}
	}
	order, err := callOrder(all)
	if err != nil {
		return nil, err
	}
	for _, f := range slices.Backward(order) {
		for _, g := range f.calls {
			f.size = min(f.size+g.size, limits[qNodes].max+1) // may be astronomical
		}
	}
	size := int64(0)
	err = in.graphSites(graph, &size, func(f *function) { f.count, size = min(2, f.count+1), min(size+f.size, limits[qNodes].max+1) })
	if err == nil {
		err = qNodes.allow(size)
	}
	if err == nil {
		_, err = needs{}.graph(graph)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range order {
		for _, g := range f.calls {
			g.count = min(2, g.count+f.count)
		}
	}
	d.model.inlined = true
	in.survey = true
	if _, err := in.whole(graph); err != nil {
		return nil, err
	}
	in.survey = false
	return in.whole(graph)
}

// whole returns the main graph with its calls replaced.
func (in *inliner) whole(graph []byte) ([]byte, error) {
	in.taken, in.numbers = map[string]bool{}, map[string]int{}
	if err := definitions(graph, true, func(name string) { in.taken[name] = true }); err != nil {
		return nil, err
	}
	room := 0
	if !in.survey {
		room = len(graph) + int(in.used[qInlined])
	}
	in.used = budget{}
	return in.graph(make([]byte, 0, room), graph)
}

// hostsOwn reports whether hosts define their own operators in a domain. ONNX Runtime looks for an operator first and for a
// function of the model only if there is none, so the result of such a call would depend on the host.
func hostsOwn(domain string) bool {
	for _, own := range []string{"ai.onnx", "com.microsoft", "com.ms"} {
		if domain == own || strings.HasPrefix(domain, own+".") {
			return true
		}
	}
	return domain == ""
}

// sites calls f for every call of a function in a node, including those in its branches, and counts the nodes.
func (in *inliner) sites(node []byte, nodes *int64, f func(*function)) error {
	*nodes++
	c, err := readNode(node)
	if err != nil {
		return err
	}
	if g := in.functions[c.id]; g != nil {
		if hostsOwn(c.id.domain) || c.id.name == "Constant" {
			return hint.With(fmt.Errorf("the file defines %v as a function, and a host would run its own operator of that name instead", c.id),
				"name the function's domain after the exporter, or write the operators of its body into the graph")
		}
		f(g)
	}
	return c.branches(func(g []byte) error { return in.graphSites(g, nodes, f) })
}

// graphSites is sites for the nodes of a graph. Calls have labels, too, and are gone when [Model.checkHosts] compares labels.
func (in *inliner) graphSites(graph []byte, nodes *int64, f func(*function)) error {
	labels := map[string]bool{}
	return fields(graph, func(num protowire.Number, _, body []byte) error {
		if num != 1 {
			return nil
		}
		label := stringField(body, 3)
		if label != "" && labels[label] {
			return sameLabel(label)
		}
		labels[label] = true
		return in.sites(body, nodes, f)
	})
}

// sameLabel refuses two nodes of one label.
func sameLabel(label string) error { return fmt.Errorf("two nodes of one graph are named %q", label) }

// graph appends the fields of a GraphProto, with its calls replaced.
func (in *inliner) graph(out, graph []byte) ([]byte, error) {
	err := fields(graph, func(num protowire.Number, raw, body []byte) (err error) {
		if num == 1 {
			out, err = in.node(out, body)
		} else if !in.survey {
			out = append(out, raw...)
		}
		return err
	})
	return out, err
}

// node appends the fields of GraphProto that replace a node: the node itself, or the body of the function it calls.
func (in *inliner) node(out, node []byte) ([]byte, error) {
	c, err := readNode(node)
	if err == nil {
		err = in.spend(c)
	}
	if err != nil {
		return nil, err
	}
	if f := in.functions[c.id]; f != nil {
		out, err := in.expand(out, c, f)
		var inner *callError
		if err != nil && !errors.As(err, &inner) {
			err = &callError{f.id, err}
		}
		return out, err
	}
	var inner []byte
	err = fields(node, func(num protowire.Number, raw, body []byte) error {
		if num == 5 {
			attr, err := eachGraph(body, func(g []byte) ([]byte, error) { return in.graph(nil, g) })
			if !in.survey {
				inner = appendMessage(inner, 5, attr)
			}
			return err
		}
		if !in.survey {
			inner = append(inner, raw...)
		}
		return nil
	})
	if in.survey {
		return out, err
	}
	return appendMessage(out, 1, inner), err
}

// callError is an error in the body of a function. Only the innermost function is named, because calls may be nested
// thousands deep.
type callError struct {
	id  functionID
	err error
}

func (e *callError) Error() string { return fmt.Sprintf("%v: %v", e.id, e.err) }
func (e *callError) Unwrap() error { return e.err }

// spend counts a node of the inlined graph. The limits of a file hold for what it is inlined to.
func (in *inliner) spend(c *nodeProto) error {
	if err := in.used.spend(qNodes, 1); err != nil {
		return err
	}
	if err := in.used.spend(qUses, int64(len(c.ins))); err != nil {
		return err
	}
	if err := in.used.spend(qResults, int64(len(c.outs))); err != nil {
		return err
	}
	return in.used.spend(qAttributes, int64(len(c.attrs)))
}

// eachGraph returns an AttributeProto with f applied to every graph in it. An attribute without graphs is not copied.
func eachGraph(attr []byte, f func([]byte) ([]byte, error)) ([]byte, error) {
	graphs := false
	_ = fields(attr, func(num protowire.Number, _, _ []byte) error {
		graphs = graphs || num == 6 || num == 11
		return nil
	})
	if !graphs {
		return attr, nil
	}
	var out []byte
	err := fields(attr, func(num protowire.Number, raw, body []byte) error {
		if num != 6 && num != 11 {
			out = append(out, raw...)
			return nil
		}
		g, err := f(body)
		out = appendMessage(out, num, g)
		return err
	})
	return out, err
}

// expand appends the body of f in the place of a call.
func (in *inliner) expand(out []byte, c *nodeProto, f *function) ([]byte, error) {
	if len(c.ins) > len(f.ins) || len(c.outs) > len(f.outs) {
		return nil, fmt.Errorf("a call has %d inputs and %d outputs, the function has %d and %d", len(c.ins), len(c.outs), len(f.ins), len(f.outs))
	}
	b := &binding{in: in, f: f, names: map[string]string{}, attrs: map[string][]byte{}}
	for name, a := range f.defaults {
		b.attrs[name] = a
	}
	given := map[string]bool{}
	for _, a := range c.attrs {
		name := stringField(a, 1)
		if given[name] {
			return nil, fmt.Errorf("attribute %q appears twice", name)
		}
		given[name], b.attrs[name] = true, a
	}
	for i, formal := range f.ins {
		if _, twice := b.names[formal]; twice {
			return nil, fmt.Errorf("input %q appears twice", formal)
		}
		b.names[formal] = ""
		if i < len(c.ins) {
			if name := c.ins[i]; name != "" && !in.taken[name] { // the body may not read it, so that nothing else would find it missing
				return nil, fmt.Errorf("a call reads %q, which nothing produces", name)
			}
			b.names[formal] = c.ins[i]
		}
	}
	var aliases [][2]string // outputs that are also inputs, or that appear twice: value, actual name
	for i, formal := range f.outs {
		if i >= len(c.outs) || c.outs[i] == "" {
			continue
		}
		if _, bound := b.names[formal]; bound {
			aliases = append(aliases, [2]string{formal, c.outs[i]})
		} else {
			b.names[formal] = c.outs[i]
		}
	}
	if err := b.choosePrefix(c); err != nil {
		return nil, err
	}
	if err := f.checkOrder(); err != nil {
		return nil, err
	}
	for _, n := range f.nodes {
		bound, err := b.node(n)
		if err != nil {
			return nil, err
		}
		if out, err = in.node(out, bound); err != nil {
			return nil, err
		}
	}
	for _, a := range aliases {
		value, err := b.name(a[0])
		if err != nil || value == "" {
			return nil, fmt.Errorf("output %q has no value", a[0])
		}
		n := appendStrings(appendStrings(nil, 1, []string{value}), 2, []string{a[1]})
		if out, err = in.node(out, appendStrings(n, 4, []string{"Identity"})); err != nil {
			return nil, err
		}
	}
	infos := b.infos()
	if in.survey {
		return out, in.used.spend(qInlined, int64(len(infos)))
	}
	return append(out, infos...), nil
}

// choosePrefix finds a prefix under which all of the function's own names are free.
func (b *binding) choosePrefix(c *nodeProto) error {
	stem := strings.TrimSuffix(c.label, "/")
	if stem == "" || len(stem) > maxPath { // a long path is cut off to keep names within the limit
		stem = c.id.name
	}
	var own []string
	produced := map[string]bool{}
	for _, n := range b.f.nodes {
		if err := nodeDefinitions(n, false, func(name string) { own, produced[name] = append(own, name), true }); err != nil {
			return err
		}
	}
	for _, formal := range b.f.ins {
		if produced[formal] {
			return fmt.Errorf("input %q is also the result of a node", formal)
		}
	}
	for _, formal := range b.f.outs {
		if !produced[formal] && !b.f.input[formal] {
			return fmt.Errorf("nothing in the function produces its output %q", formal)
		}
	}
	clash := func() bool {
		return b.in.taken[b.prefix] || slices.ContainsFunc(own, func(name string) bool { return b.in.taken[b.prefix+name] })
	}
	for {
		b.prefix = stem + "/"
		if i := b.in.numbers[stem]; i > 0 {
			b.prefix = fmt.Sprintf("%s_%d/", stem, i)
		}
		b.in.numbers[stem]++
		if err := b.in.used.spend(qInlinedTries, int64(len(own))); err != nil {
			return err
		}
		if !clash() {
			break
		}
	}
	b.in.taken[b.prefix] = true
	for _, name := range own {
		if err := b.in.used.spend(qInlinedNames, int64(len(b.prefix)+len(name))); err != nil {
			return err
		}
		b.in.taken[b.prefix+name] = true
		if _, bound := b.names[name]; !bound {
			b.names[name] = b.prefix + name
		}
	}
	return nil
}
