package graphtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

const small = `graph main {
	in x: float32[4] in c: bool[]
	const w = float32[4] {1, 2, 3, 4} in over: float32[1] = float32[1] {1}
	a = Neg(x) @one b = Abs(x) @two d = Add(a, w) @three e = Mul(d, over) f = Sub(e, b)
	y = If(c) { then_branch: graph t { const k = float32[1] {5} p = Add(f, k) out p } else_branch: graph e { q = Neg(b) out q } }
	out y
}`

func load(t *testing.T) *graph.Model {
	t.Helper()
	m, err := graph.Parse(small)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func names(m *graph.Model) []string {
	var out []string
	for g := range m.Graphs() {
		for _, v := range g.Initializers() {
			out = append(out, v.Name())
		}
		for _, n := range g.Nodes() {
			out = append(out, n.Name())
			for _, v := range n.Outputs() {
				out = append(out, v.Name())
			}
		}
	}
	return out
}

func TestRenameAllLeavesNoName(t *testing.T) {
	m := load(t)
	before := names(m)
	RenameAll(t, m, 1)
	for _, name := range names(m) {
		if name != "y" && slices.Contains(before, name) {
			t.Errorf("%q keeps its name", name)
		}
	}
	if m.Graph.Inputs()[0].Name() != "x" || m.Graph.Outputs()[0].Name() != "y" {
		t.Error("the signature changes")
	}
}

func TestShuffleGivesManyOrders(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(40) {
		m := load(t)
		Shuffle(t, m, seed)
		var order []string
		for _, n := range m.Graph.Nodes() {
			order = append(order, n.Op())
		}
		seen[strings.Join(order, " ")] = true
	}
	// a, b, d, e have four orders, because b may be anywhere before f.
	if len(seen) != 4 {
		t.Errorf("%d orders, want 4: %v", len(seen), seen)
	}
}

func TestSwapCommutativeSwaps(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(40) {
		m := load(t)
		SwapCommutative(t, m, seed)
		text := graph.Format(m)
		for _, form := range []string{"Add(a, w)", "Add(w, a)", "Mul(d, over)", "Mul(over, d)", "Add(f, k)", "Add(k, f)", "Sub(e, b)", "Sub(b, e)"} {
			if strings.Contains(text, form) {
				seen[form] = true
			}
		}
	}
	if len(seen) != 7 || seen["Sub(b, e)"] {
		t.Errorf("seen %v", seen)
	}
}

func TestConstantsFromInitializersLeavesNone(t *testing.T) {
	m := load(t)
	ConstantsFromInitializers(t, m)
	constants := 0
	for g := range m.Graphs() {
		for _, v := range g.Initializers() {
			if !v.Overridable() {
				t.Errorf("%v is still an initializer", v)
			}
		}
		for _, n := range g.Nodes() {
			if n.Is("Constant") {
				constants++
			}
		}
	}
	if constants != 2 {
		t.Errorf("%d Constant nodes, want 2", constants)
	}
	for _, seed := range []uint64{1, 2} {
		a, b := load(t), load(t)
		RenameAll(t, a, seed)
		RenameAll(t, b, seed)
		if graph.Format(a) != graph.Format(b) {
			t.Error("the same seed gives another model")
		}
	}
}
