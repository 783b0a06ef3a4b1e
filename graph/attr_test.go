package graph

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAttributes(t *testing.T) {
	m := parse(t, `graph main { in x: float32[1] y = my.Op(x) {i: -3, f: 0.5, s: "text", is: [1, 2], t: float32[2] {1, 2}, g: graph b { out x }} @label out y }`)
	n := m.Graph.Nodes()[0]
	if diff := cmp.Diff([]string{"i", "f", "s", "is", "t", "g"}, n.AttrNames()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"int", n.Int("i", 9), int64(-3)}, {"no int", n.Int("none", 9), int64(9)}, {"int of another kind", n.Int("f", 9), int64(9)}, {"int of a graph", n.Int("g", 9), int64(9)},
		{"float", n.Float("f", 9), 0.5}, {"no float", n.Float("none", 9), 9.0}, {"float of another kind", n.Float("i", 9), 9.0},
		{"text", n.Str("s", "def"), "text"}, {"no text", n.Str("none", "def"), "def"},
		{"list", n.Ints("is"), []int64{1, 2}}, {"no list", n.Ints("none"), []int64(nil)},
		{"has", n.HasAttr("t"), true}, {"has not", n.HasAttr("none"), false},
		{"tensor", n.Tensor("t").Dims, []int64{2}}, {"no tensor", n.Tensor("i") == nil && n.Tensor("none") == nil, true},
		{"op", n.FullOp(), "my.Op"}, {"label", n.Name(), "label"}, {"text form", n.String(), `my.Op "label"`},
		{"is", n.Is("Op", "my.Op"), true}, {"is not", n.Is("Op"), false}, {"nothing is nothing", (*Node)(nil).Is("Op"), false},
		{"scope", n.Graph() == m.Graph && m.Graph.Model() == m && m.Graph.Name() == "main" && m.Graph.Parent() == nil && m.Graph.Owner() == nil, true},
		{"branch", n.Branches()[0].Owner() == n && n.Branches()[0].Attr() == "g" && n.Branches()[0].Parent() == m.Graph, true},
		{"index", n.Outputs()[0].Index(), 0},
	} {
		if !cmp.Equal(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

// TestConstantNodes reads every attribute in which a Constant node may carry its value.
func TestConstantNodes(t *testing.T) {
	for _, tt := range []struct {
		attr string
		want string
	}{
		{"value: int64[2, 1] {3, 4}", "int64[2, 1] [3 4]"},
		{"value_int: 7", "int64[] [7]"},
		{"value_ints: [7, 8]", "int64[2] [7 8]"},
		{"value_float: 1.5", "float32[] [1.5]"},
		{"value_floats: [1.5, 2.0]", "float32[2] [1.5 2]"},
		{`value_string: "no tensor of numbers"`, ""},
	} {
		v := parse(t, "graph g { k = Constant() {"+tt.attr+"} out k }").Graph.Outputs()[0]
		c := v.Const()
		if tt.want == "" {
			if c != nil {
				t.Errorf("%s: got %v", tt.attr, c)
			}
			continue
		}
		x, err := c.Load()
		if err != nil {
			t.Fatal(err)
		}
		got := constType(c).String() + " "
		if c.DType == Int64 {
			is, _ := x.Int64s()
			got += fmt.Sprint(is)
		} else {
			fs, _ := x.Float32s()
			got += fmt.Sprint(fs)
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.attr, got, tt.want)
		}
		if v.Initializer() != nil || v.IsInput() {
			t.Errorf("%s: treated as a constant", tt.attr)
		}
	}
}
