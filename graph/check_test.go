package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestCheckFinds breaks each invariant directly, without an Edit, and expects Check to report it.
func TestCheckFinds(t *testing.T) {
	tests := []struct {
		name string
		do   func(m *Model, v map[string]*Value)
		want string
	}{
		{"no graph", func(m *Model, v map[string]*Value) { m.Graph = nil }, "the model has no graph"},
		{"no name", func(m *Model, v map[string]*Value) { v["a"].name = "" }, "a value has no name"},
		{"two of a name", func(m *Model, v map[string]*Value) { v["a"].name = "h" }, `value "h" is defined twice`},
		{"wrong scope", func(m *Model, v map[string]*Value) { v["a"].graph = v["p"].graph }, `value "a" does not know its graph`},
		{"node in the wrong scope", func(m *Model, v map[string]*Value) { v["a"].node.graph = v["p"].graph }, `Add "add" does not know its graph`},
		{"no op", func(m *Model, v map[string]*Value) { v["a"].node.op = "" }, "has no op"},
		{"no outputs", func(m *Model, v map[string]*Value) { v["a"].node.outs = nil }, "has no output"},
		{"wrong producer", func(m *Model, v map[string]*Value) { v["a"].node = v["b"].node }, `value "a" does not know its producer`},
		{"wrong index", func(m *Model, v map[string]*Value) { v["a"].index = 3 }, `value "a" does not know its producer`},
		{"lost use", func(m *Model, v map[string]*Value) { v["h"].uses = v["h"].uses[1:] }, `value "h" lists 2 uses, the nodes read it 3 times`},
		{"use too many", func(m *Model, v map[string]*Value) { v["a"].uses = append(v["a"].uses, Use{v["h"].node, 0}) }, `value "a" lists 2 uses, the nodes read it 1 times`},
		{"a use for another", func(m *Model, v map[string]*Value) { v["a"].uses[0] = Use{v["h"].node, 0} }, `value "a" lists 1 uses`},
		{"a use twice", func(m *Model, v map[string]*Value) { v["b"].uses[1] = v["b"].uses[0] }, `value "b" lists 2 uses`},
		{"a use of a slot that does not exist", func(m *Model, v map[string]*Value) { v["a"].uses[0].Slot = 7 }, `value "a" lists 1 uses`},
		{"a use by a removed node", func(m *Model, v map[string]*Value) {
			n := *v["b"].node
			v["a"].uses[0].Node = &n
		}, `value "a" lists 1 uses`},
		{"a stranger is read", func(m *Model, v map[string]*Value) { v["b"].node.ins[1] = &Value{name: "stranger"} }, `reads "stranger" at input 1, which nothing produces`},
		{"another scope is read", func(m *Model, v map[string]*Value) { m.Edit().set(Use{v["b"].node, 1}, v["q"]) }, `reads "q", which belongs to another scope`},
		{"a cycle", func(m *Model, v map[string]*Value) { m.Edit().set(Use{v["h"].node, 0}, v["b"]) }, "depends on itself"},
		{"a cycle through a branch", func(m *Model, v map[string]*Value) {
			m.Edit().set(Use{v["a"].node, 1}, v["r"])
			m.Edit().set(Use{v["p"].node, 0}, v["a"])
		}, "depends on itself"},
		{"an output without a producer", func(m *Model, v map[string]*Value) { m.Graph.outputs[0] = &Value{name: "z"} }, "a graph output has no producer"},
		{"an output of a branch", func(m *Model, v map[string]*Value) { m.Graph.outputs[0] = v["q"] }, `graph output "q" belongs to another scope`},
		{"a branch without owner", func(m *Model, v map[string]*Value) { v["p"].graph.owner = v["h"].node }, "does not know its owner"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, site)
			values := map[string]*Value{}
			for g := range m.Graphs() {
				for v := range g.values {
					values[v.name] = v
				}
			}
			tt.do(m, values)
			if err := Check(m); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestCheckReportsAll breaks two invariants.
func TestCheckReportsAll(t *testing.T) {
	m := parse(t, site)
	find(t, m, "a").node.op = ""
	find(t, m, "h").uses = nil
	if err := Check(m); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v, want two lines", err)
	}
}

// TestManyUses checks a value that is read 5,000 times, and finds one extra use.
func TestManyUses(t *testing.T) {
	var b strings.Builder
	b.WriteString("graph g { in x: float32[1] ")
	for i := range 2500 {
		fmt.Fprintf(&b, "v%d = Add(x, x) ", i)
	}
	m := parse(t, b.String()+"out v0 }")
	x := m.Graph.Inputs()[0]
	if len(x.Uses()) != 5000 {
		t.Fatalf("%d uses", len(x.Uses()))
	}
	if err := Check(m); err != nil {
		t.Fatal(err)
	}
	x.uses[4999] = x.uses[17]
	if Check(m) == nil {
		t.Error("a repeated use is not found")
	}
}

func TestOrderedSorts(t *testing.T) {
	m := parse(t, "graph g { in x: float32[1] c = Neg(b) b = Neg(a) a = Neg(x) out c }")
	var ops []string
	for _, n := range m.Graph.Ordered() {
		ops = append(ops, n.Out(0).Name())
	}
	if !slices.Equal(ops, []string{"a", "b", "c"}) {
		t.Errorf("order %v", ops)
	}
	if m.Graph.Nodes()[0].Out(0).Name() != "c" {
		t.Error("the file's order is lost")
	}
}
