package graph

import (
	"errors"
	"fmt"
	"slices"
)

// Check returns every violated invariant of a model, joined, or nil when there is none.
//
//   - names are unique within a scope, and every value has one producer: a node, an input or an initializer
//   - edges agree from both sides: an input slot names its value, and the value lists that use exactly once
//   - a node reads values of its own scope or of a scope around it
//   - the nodes have an order in which every value is produced before it is read
//   - graph outputs are values of the graph (or, in a branch, of a scope around it)
//   - every branch knows the node that holds it
func Check(m *Model) error {
	if m.Graph == nil {
		return errors.New("the model has no graph")
	}
	c := &checker{model: m, sorter: newSorter(m), reads: make([]int, m.values), values: make([]*Value, m.values), nodes: make([]*Node, m.nodes)}
	c.collect(m.Graph)
	c.graph(m.Graph)
	return errors.Join(c.errs...)
}

// checker indexes nodes and values by their IDs.
type checker struct {
	model  *Model
	sorter *sorter
	errs   []error
	reads  []int    // number of reads of a value by nodes
	values []*Value // values with a definition; an object of another model may have the same ID
	nodes  []*Node  // nodes that are in a graph

	foreign bool // a node belongs to another model, so the nodes cannot be sorted
}

func (c *checker) bad(format string, args ...any) {
	if len(c.errs) < 100 {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

func (c *checker) defined(v *Value) bool { return v.id < len(c.values) && c.values[v.id] == v }

// collect records every definition, outer scopes first, and every read.
func (c *checker) collect(g *Graph) {
	names := make(names, len(g.inputs)+len(g.inits)+len(g.nodes))
	define := func(v *Value) {
		if v == nil || c.defined(v) {
			return
		}
		if v.name == "" {
			c.bad("a value has no name")
		}
		if names.has(v.name) {
			c.bad("value %q is defined twice", v.name)
		}
		if v.graph != g {
			c.bad("value %q does not know its graph", v.name)
		}
		names.add(v.name)
		if v.id >= len(c.values) || c.values[v.id] != nil {
			c.bad("value %q belongs to another model, or appears twice", v.name)
			return
		}
		c.values[v.id] = v
	}
	for _, v := range g.inputs {
		define(v)
	}
	for _, v := range g.inits {
		define(v)
	}
	for _, n := range g.nodes {
		if n.graph != g {
			c.bad("%v does not know its graph", n)
		}
		if n.op == "" {
			c.bad("%v has no op", n)
		}
		if !slices.ContainsFunc(n.outs, func(v *Value) bool { return v != nil }) {
			c.bad("%v has no output", n)
		}
		for i, v := range n.outs {
			if v == nil {
				continue
			}
			define(v)
			if v.node != n || v.index != i {
				c.bad("value %q does not know its producer", v.name)
			}
		}
		if n.id >= len(c.nodes) || c.nodes[n.id] != nil {
			c.bad("%v belongs to another model, or appears twice", n)
			c.foreign = true
			continue
		}
		c.nodes[n.id] = n
		for _, v := range n.ins {
			if v != nil && v.id < len(c.reads) {
				c.reads[v.id]++
			}
		}
		for _, b := range n.Branches() {
			if b.owner != n || b.model != c.model {
				c.bad("a branch of %v does not know its owner", n)
			}
			c.collect(b)
		}
	}
}

func (c *checker) graph(g *Graph) {
	for v := range g.values {
		if c.defined(v) && !c.sameUses(v) {
			c.bad("value %q lists %d uses, the nodes read it %d times", v.name, len(v.uses), c.reads[v.id])
		}
	}
	for _, n := range g.nodes {
		for i, v := range n.ins {
			switch {
			case v == nil:
			case !c.defined(v):
				c.bad("%v reads %q at input %d, which nothing produces", n, v.name, i)
			case !v.graph.encloses(g):
				c.bad("%v reads %q, which belongs to another scope", n, v.name)
			}
		}
		for _, b := range n.Branches() {
			c.graph(b)
		}
	}
	for _, v := range g.outputs {
		switch {
		case v == nil || !c.defined(v):
			c.bad("a graph output has no producer")
		case !v.graph.encloses(g):
			c.bad("graph output %q belongs to another scope", v.name)
		}
	}
	if c.foreign {
		return
	}
	if _, cycle := c.sorter.sorted(g); cycle != nil {
		c.bad("%v depends on itself", cycle)
	}
}

// encloses reports whether g is inner or a scope around it.
func (g *Graph) encloses(inner *Graph) bool {
	for ; inner != nil; inner = inner.Parent() {
		if inner == g {
			return true
		}
	}
	return false
}

// values yields every value defined in the graph itself.
func (g *Graph) values(yield func(*Value) bool) {
	for _, v := range g.inputs {
		if !yield(v) {
			return
		}
	}
	for _, v := range g.inits {
		if !v.input && !yield(v) {
			return
		}
	}
	for _, n := range g.nodes {
		for _, v := range n.outs {
			if v != nil && !yield(v) {
				return
			}
		}
	}
}

// sameUses reports whether v lists each of its reads by a node of the model exactly once.
func (c *checker) sameUses(v *Value) bool {
	got := v.uses
	if len(got) != c.reads[v.id] {
		return false
	}
	var seen map[Use]bool // not needed for short lists, which are searched
	if len(got) > 16 {
		seen = make(map[Use]bool, len(got))
	}
	for i, u := range got {
		if u.Node.id >= len(c.nodes) || c.nodes[u.Node.id] != u.Node || u.Slot < 0 || u.Slot >= len(u.Node.ins) || u.Node.ins[u.Slot] != v || seen[u] || seen == nil && slices.Contains(got[:i], u) {
			return false
		}
		if seen != nil {
			seen[u] = true
		}
	}
	return true
}
