package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Extract returns the part of the main graph that computes outputs from inputs, as a model of its own. Inputs may be any
// values of the main graph: what computed them is cut off, and they become graph inputs under their own names and declared
// types. Initializers, opsets and metadata come along as far as they are needed; weights stay where they lie.
//
// An output that depends on an original graph input which is not listed is refused: the caller shall see what the part
// needs. Inputs that turn out not to be needed stay, so that the signature is the one that was asked for.
func Extract(m *Model, inputs, outputs []*Value) (*Model, error) {
	part, err := extract(m, inputs, outputs)
	if err != nil {
		return nil, fmt.Errorf("extract: %w", err)
	}
	return part, nil
}

func extract(m *Model, inputs, outputs []*Value) (*Model, error) {
	if len(outputs) == 0 {
		return nil, fmt.Errorf("no outputs")
	}
	for what, vs := range map[string][]*Value{"input": inputs, "output": outputs} {
		for i, v := range vs {
			switch {
			case v == nil:
				return nil, fmt.Errorf("%s %d is missing", what, i)
			case v.graph != m.Graph:
				return nil, fmt.Errorf("%s %v is no value of the main graph", what, v)
			case slices.Contains(vs[:i], v):
				return nil, fmt.Errorf("%s %v is listed twice", what, v)
			case what == "input" && v.Type.DType == Undefined:
				return nil, Hint(fmt.Errorf("input %v has no declared type", v), "infer the types of the file first, for example with onnx.shape_inference")
			}
		}
	}
	nodes, consts, missing := needed(inputs, outputs)
	if len(missing) > 0 {
		return nil, Hint(fmt.Errorf("the outputs depend on %s besides the listed inputs", strings.Join(missing, ", ")), "list what is missing among the inputs")
	}
	g := m.Graph
	part := &Graph{name: g.name, model: m, inputs: inputs, outputs: outputs}
	names := m.Edit()
	for _, n := range g.nodes {
		if nodes[n] {
			part.nodes = append(part.nodes, withoutOutputs(n, inputs, names))
		}
	}
	for _, v := range g.inits {
		if consts[v] {
			part.inits = append(part.inits, v)
		}
	}
	for _, r := range g.records {
		info := r.num == 13 && (slices.Contains(inputs, r.value) || slices.Contains(outputs, r.value)) // declared as input or output now
		if !info && r.num != 14 && r.num != 15 {                                                       // quantization notes and sparse initializers
			part.records = append(part.records, r)
		}
	}
	whole := *m
	whole.Graph = part
	whole.records = slices.DeleteFunc(slices.Clone(m.records), func(r record) bool { return r.num == 20 }) // training
	out, err := decodeModel(&skeleton{data: whole.encode(), holes: slices.Clip(m.holes)})
	if err != nil {
		return nil, err
	}
	out.path, out.file, out.inlined = m.path, m.file, m.inlined
	out.share(m)
	return out, nil
}

// withoutOutputs returns a node of the part: n, but where it computes an input of the part beside what is needed, a copy
// that gives this output another name.
func withoutOutputs(n *Node, inputs []*Value, names *Edit) *Node {
	out := n
	for i, v := range n.outs {
		if v == nil || !slices.Contains(inputs, v) {
			continue
		}
		if out == n {
			c := *n
			out, c.outs = &c, slices.Clone(n.outs)
		}
		out.outs[i] = &Value{id: names.model.valueID(), name: names.Fresh(v.name + "_before"), graph: v.graph, node: out, index: i}
	}
	return out
}

// needed walks from outputs up to inputs and constants: the nodes and initializers on the way, and the names of the
// original graph inputs met.
func needed(inputs, outputs []*Value) (nodes map[*Node]bool, consts map[*Value]bool, missing []string) {
	nodes, consts = map[*Node]bool{}, map[*Value]bool{}
	seen := map[*Value]bool{}
	for _, v := range inputs {
		seen[v] = true
	}
	todo := slices.Clone(outputs)
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[v] {
			continue
		}
		seen[v] = true
		switch {
		case v.init != nil:
			consts[v] = true
		case v.node == nil:
			missing = append(missing, v.String())
		case !nodes[v.node]:
			nodes[v.node] = true
			todo = append(todo, reads(v.node)...)
		}
	}
	slices.Sort(missing)
	return nodes, consts, missing
}

// reads returns the values of n's own graph that n reads, those read inside its branches included.
func reads(n *Node) []*Value {
	var out []*Value
	add := func(v *Value) {
		if v != nil && v.graph == n.graph {
			out = append(out, v)
		}
	}
	n.eachRead(func(v *Value, _ Use) { add(v) })
	for _, b := range n.Branches() {
		b.walk(func(g *Graph) bool {
			for _, v := range g.outputs {
				add(v)
			}
			return true
		})
	}
	return out
}
