package graph

import "testing"

// TestOmittedValues walks along edges that do not exist. Every step must return nothing.
func TestOmittedValues(t *testing.T) {
	m := parse(t, `graph g { in x: float32[4] y = Exp(_) @exp out y }`)
	n := m.Graph.nodes[0]
	for name, v := range map[string]*Value{"omitted": n.In(0), "beyond the last": n.In(1), "below the first": n.In(-1), "no output": n.Out(1), "of no node": n.In(0).Producer().In(0)} {
		if v != nil || v.Name() != "" || v.String() != "nothing" || v.Graph() != nil || v.Producer() != nil || v.Index() != 0 || v.Uses() != nil ||
			v.IsInput() || v.IsOutput() || v.Overridable() || v.Initializer() != nil || v.Const() != nil || v.Type().DType != 0 || v.Type().Ranked {
			t.Errorf("%s: is something", name)
		}
		if p := v.Producer(); p.Is("Exp") || p.Op() != "" || p.Domain() != "" || p.In(0) != nil || p.Out(0) != nil || p.Inputs() != nil || p.Outputs() != nil ||
			p.HasAttr("axis") || p.Int("axis", 7) != 7 || p.Float("alpha", 2) != 2 || p.Str("mode", "a") != "a" || p.Ints("axes") != nil || p.Tensor("value") != nil {
			t.Errorf("%s: has a producer", name)
		}
	}
}
