package graph

import (
	"slices"
)

// Input adds an input of exactly this name to the main graph.
func (e *Edit) Input(name string, t Type) *Value {
	g := e.model.Graph
	if e.names().has(name) {
		e.fail("the name %q is taken", name)
	}
	e.names().add(name)
	v := &Value{id: e.model.valueID(), name: name, graph: g, input: true, typ: t}
	e.do(func() { e.graph(g).inputs = append(g.inputs, v) })
	return v
}

// Output makes v an output of g, a graph that can read v. Its name does not change.
func (e *Edit) Output(g *Graph, v *Value) {
	e.do(func() { e.graph(g).outputs = append(g.outputs, v) })
}

// ReplaceOutput puts v in the place of old among the outputs of old's graph. v takes over old's name, so that the model's
// signature does not change, and old gets a fresh name. v keeps its own declared type if it has one, else it takes old's.
func (e *Edit) ReplaceOutput(old, v *Value) {
	fresh := e.Fresh(old.name + "_before")
	e.do(func() {
		g := old.graph
		i := slices.Index(g.outputs, old)
		if i < 0 {
			e.fail("value %q is not a graph output", old.name)
			return
		}
		if old.input || old.init != nil {
			e.fail("graph output %q is also an input or a constant of the file, so its name cannot change", old.name)
			return
		}
		e.graph(g).outputs[i] = v
		e.value(v).name, e.value(old).name = old.name, fresh
		if v.typ.DType == 0 {
			v.typ = old.typ
		}
		v.retype = true
	})
}

// RemoveInput drops a graph input that nothing reads any longer. Commit checks this after all other changes.
func (e *Edit) RemoveInput(v *Value) {
	e.do(func() {
		g := v.graph
		i := slices.Index(g.inputs, v)
		if i < 0 {
			e.fail("value %q is not a graph input", v.name)
			return
		}
		e.graph(g).inputs = slices.Delete(g.inputs, i, i+1)
	})
}

// RemoveOutput drops v from the outputs of g. The nodes that compute v stay unless [Edit.Prune] finds them dead.
func (e *Edit) RemoveOutput(g *Graph, v *Value) {
	e.do(func() {
		i := slices.Index(g.outputs, v)
		if i < 0 {
			e.fail("value %q is not an output", v.name)
			return
		}
		e.graph(g).outputs = slices.Delete(g.outputs, i, i+1)
	})
}
