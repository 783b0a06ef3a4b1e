package graph

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Inlining works on the skeleton, before anything is decoded: a call of a model function gives way to the function's
// nodes, renamed. What the rest of the package sees is a model without functions.
//
//	y = pkg.Scale(x) @/h.0/scale      function pkg.Scale { in a; b = Sqrt(a); r = Mul(b, a); out r }
//	        becomes
//	/h.0/scale/b = Sqrt(x)
//	y = Mul(/h.0/scale/b, x)
//
// Inputs and outputs of the function take the names of the call's; every other name gets the path of calls in front.
// A call may leave out trailing inputs and any output. Calls of domains that the file does not define are operators.

const (
	maxFunctions = 10_000
	maxInlined   = maxNodes // nodes met while inlining, calls included
)

// functionID is what a call names.
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

// function is a FunctionProto, read as far as inlining needs.
type function struct {
	id        functionID
	ins, outs []string
	defaults  map[string][]byte // AttributeProto by name
	nodes     [][]byte
	infos     [][]byte // ValueInfoProto
	opsets    map[string]int64
	calls     []*function // one for each call site
	count     int         // calls of it in the inlined model, 2 standing for more than one
}

type inliner struct {
	model     *Model
	functions map[functionID]*function
	taken     map[string]bool // value names of every scope, and prefixes given
	numbers   map[string]int  // of the next prefix, by stem
	nodes     int
	bytes     int
}

// inline returns the main graph's bytes with every call of a function replaced.
func (d *decoder) inline(graph []byte, functions [][]byte) ([]byte, error) {
	in := &inliner{model: d.model, functions: map[functionID]*function{}, taken: map[string]bool{}, numbers: map[string]int{}}
	if len(functions) > maxFunctions {
		return nil, fmt.Errorf("more than %d functions", maxFunctions)
	}
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
			if err := in.sites(n, func(g *function) { f.calls = append(f.calls, g) }); err != nil {
				return nil, err
			}
		}
	}
	order, err := callOrder(all)
	if err != nil {
		return nil, err
	}
	if err := in.graphSites(graph, func(f *function) { f.count = min(2, f.count+1) }); err != nil {
		return nil, err
	}
	for _, f := range order {
		for _, g := range f.calls {
			g.count = min(2, g.count+f.count)
		}
	}
	if err := definitions(graph, true, func(name string) { in.taken[name] = true }); err != nil {
		return nil, err
	}
	d.model.inlined = true
	return in.graph(graph)
}

func readFunction(body []byte) (*function, error) {
	f := &function{defaults: map[string][]byte{}, opsets: map[string]int64{}}
	err := fields(body, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			f.id.name = string(body)
		case 4:
			f.ins = append(f.ins, string(body))
		case 5:
			f.outs = append(f.outs, string(body))
		case 7:
			f.nodes = append(f.nodes, body)
		case 9:
			pb := &onnxpb.OperatorSetIdProto{}
			if err := unmarshal.Unmarshal(body, pb); err != nil {
				return fmt.Errorf("opset_import: %w", err)
			}
			f.opsets[ownDomain(pb.GetDomain())] = pb.GetVersion()
		case 10:
			f.id.domain = ownDomain(string(body))
		case 11:
			f.defaults[stringField(body, 1)] = body
		case 12:
			f.infos = append(f.infos, body)
		case 13:
			f.id.overload = string(body)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("function %v: %w", f.id, err)
	}
	return f, nil
}

// ownDomain writes ONNX's own operator domain as "": files may also call it "ai.onnx".
func ownDomain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// stringField returns a string field of a message, "" when it is absent.
func stringField(body []byte, field protowire.Number) string {
	s := ""
	_ = fields(body, func(num protowire.Number, _, body []byte) error {
		if num == field {
			s = string(body)
		}
		return nil
	})
	return s
}

// callOrder returns the functions so that each stands before those it calls, or refuses a cycle.
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

// sites calls f for every call of a function in a node, its branches included.
func (in *inliner) sites(node []byte, f func(*function)) error {
	c, err := readCall(node)
	if err != nil {
		return err
	}
	if g := in.functions[c.id]; g != nil {
		f(g)
	}
	return c.branches(func(g []byte) error { return in.graphSites(g, f) })
}

func (in *inliner) graphSites(graph []byte, f func(*function)) error {
	return fields(graph, func(num protowire.Number, _, body []byte) error {
		if num != 1 {
			return nil
		}
		return in.sites(body, f)
	})
}

// call is a NodeProto, read as far as inlining needs.
type call struct {
	id        functionID
	label     string
	ins, outs []string
	attrs     [][]byte
}

func readCall(node []byte) (*call, error) {
	c := &call{}
	err := fields(node, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			c.ins = append(c.ins, string(body))
		case 2:
			c.outs = append(c.outs, string(body))
		case 3:
			c.label = string(body)
		case 4:
			c.id.name = string(body)
		case 5:
			c.attrs = append(c.attrs, body)
		case 7:
			c.id.domain = ownDomain(string(body))
		case 8:
			c.id.overload = string(body)
		}
		return nil
	})
	return c, err
}

func (c *call) branches(f func(graph []byte) error) error {
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

// graph returns a GraphProto with the calls in it replaced.
func (in *inliner) graph(graph []byte) ([]byte, error) {
	var out []byte
	err := fields(graph, func(num protowire.Number, raw, body []byte) error {
		if num != 1 {
			out = append(out, raw...)
			return nil
		}
		recs, err := in.node(body)
		out = append(out, recs...)
		return err
	})
	return out, err
}

// node returns the fields of GraphProto that stand for a node: itself, or the body of the function it calls.
func (in *inliner) node(node []byte) ([]byte, error) {
	if in.nodes++; in.nodes > maxInlined {
		return nil, fmt.Errorf("more than %d nodes", maxInlined)
	}
	c, err := readCall(node)
	if err != nil {
		return nil, err
	}
	if f := in.functions[c.id]; f != nil {
		recs, err := in.expand(c, f)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", f.id, err)
		}
		return recs, nil
	}
	var out []byte
	err = fields(node, func(num protowire.Number, raw, body []byte) error {
		if num == 5 {
			attr, err := eachGraph(body, in.graph)
			out = appendMessage(out, 5, attr)
			return err
		}
		out = append(out, raw...)
		return nil
	})
	return appendMessage(nil, 1, out), err
}

// eachGraph returns an AttributeProto with every graph in it replaced by what f makes of it.
func eachGraph(attr []byte, f func([]byte) ([]byte, error)) ([]byte, error) {
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

// expand returns the body of f in the place of a call.
func (in *inliner) expand(c *call, f *function) ([]byte, error) {
	if len(c.ins) > len(f.ins) || len(c.outs) > len(f.outs) {
		return nil, fmt.Errorf("a call has %d inputs and %d outputs, the function %d and %d", len(c.ins), len(c.outs), len(f.ins), len(f.outs))
	}
	b := &binding{in: in, f: f, names: map[string]string{}, attrs: map[string][]byte{}}
	for name, a := range f.defaults {
		b.attrs[name] = a
	}
	for _, a := range c.attrs {
		b.attrs[stringField(a, 1)] = a
	}
	for i, formal := range f.ins {
		if _, twice := b.names[formal]; twice {
			return nil, fmt.Errorf("input %q stands twice", formal)
		}
		b.names[formal] = ""
		if i < len(c.ins) {
			b.names[formal] = c.ins[i]
		}
	}
	var aliases [][2]string // outputs that are inputs, or stand twice: value, actual name
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
	var out []byte
	for _, n := range f.nodes {
		bound, err := b.node(n)
		if err != nil {
			return nil, err
		}
		recs, err := in.node(bound)
		if err != nil {
			return nil, err
		}
		out = append(out, recs...)
	}
	for _, a := range aliases {
		value, err := b.name(a[0])
		if err != nil || value == "" {
			return nil, fmt.Errorf("output %q has no value", a[0])
		}
		n := appendStrings(appendStrings(nil, 1, []string{value}), 2, []string{a[1]})
		out = appendMessage(out, 1, appendStrings(n, 4, []string{"Identity"}))
	}
	return append(out, b.infos()...), nil
}

// choosePrefix finds a prefix under which all of the function's own names are free.
func (b *binding) choosePrefix(c *call) error {
	stem := strings.TrimSuffix(c.label, "/")
	if stem == "" || len(stem) > maxName/4 { // a long path is cut off, or names would outgrow the limit
		stem = c.id.name
	}
	var own []string
	for _, n := range b.f.nodes {
		if err := nodeDefinitions(n, false, func(name string) { own = append(own, name) }); err != nil {
			return err
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
		if !clash() {
			break
		}
	}
	b.in.taken[b.prefix] = true
	for _, name := range own {
		b.in.taken[b.prefix+name] = true
		if _, bound := b.names[name]; !bound {
			b.names[name] = b.prefix + name
		}
	}
	return nil
}
