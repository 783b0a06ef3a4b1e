package runtime_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

func TestParseDevice(t *testing.T) {
	for _, c := range []struct {
		in, out, err string
	}{
		{in: "cpu", out: "cpu"},
		{in: "cuda", out: "cuda:0"},
		{in: "cuda:0", out: "cuda:0"},
		{in: "cuda:12", out: "cuda:12"},
		{in: "", err: `device "": want cpu, cuda or cuda:N`},
		{in: "gpu", err: `device "gpu": want cpu, cuda or cuda:N`},
		{in: "CPU", err: `device "CPU": want cpu, cuda or cuda:N`},
		{in: "cpu:0", err: `device "cpu:0": want cpu, cuda or cuda:N`},
		{in: "cuda:", err: `device "cuda:": want a number from 0 after "cuda:", got ""`},
		{in: "cuda:-1", err: `device "cuda:-1": want a number from 0 after "cuda:", got "-1"`},
		{in: "cuda:x", err: `device "cuda:x": want a number from 0 after "cuda:", got "x"`},
		{in: "cuda:99999999999999999999", err: `device "cuda:99999999999999999999": want a number from 0 after "cuda:", got "99999999999999999999"`},
	} {
		d, err := runtime.ParseDevice(c.in)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("ParseDevice(%q): got error %v, want %s", c.in, err, c.err)
			}
			continue
		}
		if err != nil || d.String() != c.out {
			t.Errorf("ParseDevice(%q) = %v, %v, want %s", c.in, d, err, c.out)
		}
	}
	if got := (runtime.Device{}).String(); got != "cpu" {
		t.Errorf("zero device is %q, want cpu", got)
	}
}

func TestCheckInputs(t *testing.T) {
	ports := []runtime.Port{
		{Name: "ids", DType: graph.Int64, Dims: []int64{-1, -1}},
		{Name: "past", DType: graph.Float32, Dims: []int64{-1, 4, -1, 8}},
		{Name: "any", DType: graph.Float32},
	}
	good := func() map[string]*graph.Tensor {
		return map[string]*graph.Tensor{
			"ids":  graph.NewInt64([]int64{1, 2, 3}, 1, 3),
			"past": graph.Zeros(graph.Float32, 1, 4, 0, 8),
			"any":  graph.Zeros(graph.Float32, 2, 2),
		}
	}
	for _, c := range []struct {
		name   string
		change func(in map[string]*graph.Tensor)
		want   string
	}{
		{"good", func(map[string]*graph.Tensor) {}, ""},
		{"missing", func(in map[string]*graph.Tensor) { delete(in, "past") }, `input "past": missing; want float32 [?,4,?,8]`},
		{"nil", func(in map[string]*graph.Tensor) { in["ids"] = nil }, `input "ids": missing; want int64 [?,?]`},
		{"unknown", func(in map[string]*graph.Tensor) { in["mask"] = graph.Zeros(graph.Int64) }, `input "mask": unknown; the model has "ids", "past", "any"`},
		{"dtype", func(in map[string]*graph.Tensor) { in["ids"] = graph.Zeros(graph.Int32, 1, 3) }, `input "ids": want int64, got int32`},
		{"rank", func(in map[string]*graph.Tensor) { in["ids"] = graph.Zeros(graph.Int64, 3) }, `input "ids": want shape [?,?], got [3]`},
		{"size", func(in map[string]*graph.Tensor) { in["past"] = graph.Zeros(graph.Float32, 1, 5, 0, 8) }, `input "past": want shape [?,4,?,8], got [1,5,0,8]`},
		{"negative", func(in map[string]*graph.Tensor) { in["ids"].Dims = []int64{1, -1} }, `input "ids": negative dimension in shape [1 -1]`},
		{"short data", func(in map[string]*graph.Tensor) { in["ids"].Data = in["ids"].Data[:8] }, `input "ids": int64 [1,3] takes 24 bytes, got 8`},
		{"two at once", func(in map[string]*graph.Tensor) { delete(in, "any"); in["ids"] = graph.Zeros(graph.Bool, 1, 3) },
			"input \"ids\": want int64, got bool\ninput \"any\": missing; want float32 []"},
	} {
		in := good()
		c.change(in)
		got := ""
		if err := runtime.CheckInputs(ports, in); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPickOutputs(t *testing.T) {
	ports := []runtime.Port{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for _, c := range []struct {
		want []string
		got  []runtime.Port
		err  string
	}{
		{nil, ports, ""},
		{[]string{"c", "a"}, []runtime.Port{{Name: "c"}, {Name: "a"}}, ""},
		{[]string{"d"}, nil, `output "d": unknown; the model has "a", "b", "c"`},
		{[]string{"a", "a"}, nil, `output "a": requested twice`},
	} {
		got, err := runtime.PickOutputs(ports, c.want)
		if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("PickOutputs(%q): got error %v, want %q", c.want, err, c.err)
		}
		if d := cmp.Diff(c.got, got); err == nil && d != "" {
			t.Errorf("PickOutputs(%q): %s", c.want, d)
		}
	}
	if _, err := runtime.PickOutputs(make([]runtime.Port, 200), []string{"x"}); !strings.HasSuffix(err.Error(), "and 176 more") {
		t.Errorf("a long list of names is not shortened: %v", err)
	}
}
