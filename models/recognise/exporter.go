package recognise

import (
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// exporter is a form of file. The first that fits gives the file its variant name, which is information for people: nothing
// is decided by it.
type exporter struct {
	name string
	is   func(m *graph.Model, l *models.Layout, has func(ops ...string) bool) bool
}

var exporters = []exporter{
	{"optimum, merged decoder", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool { return len(l.Bodies) > 1 }},
	{"onnxruntime-genai", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		return has("com.microsoft.GroupQueryAttention")
	}},
	{"ONNX Runtime transformers optimizer", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		return has("com.microsoft.Attention")
	}},
	{"ONNX Runtime, fused norms", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		return has("com.microsoft.SkipLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization")
	}},
	{"dynamic int8", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		return has("MatMulInteger", "com.microsoft.DynamicQuantizeMatMul", "com.microsoft.MatMulIntegerToFloat")
	}},
	{"blockwise quantised", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		return has("com.microsoft.MatMulNBits")
	}},
	{"standard Attention operator", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool { return has("Attention") }},
	{"float16", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		for _, v := range m.Graph.Initializers() {
			if v.Initializer().DType == graph.Float16 && len(v.Initializer().Dims) == 2 {
				return true
			}
		}
		return false
	}},
	{"ONNX Runtime, session-optimised", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		return has("com.microsoft.FusedMatMul")
	}},
	{"TensorFlow", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool { return has("GlobalAveragePool") }},
	{"torch dynamo", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool {
		return m.IRVersion() >= 10 && !has("Constant")
	}},
	{"TorchScript", func(m *graph.Model, l *models.Layout, has func(...string) bool) bool { return has("Constant") }},
}

func exporterOf(m *graph.Model, l *models.Layout) string {
	ops := map[string]bool{}
	for g := range m.Graphs() {
		for _, n := range g.Nodes() {
			if op := n.FullOp(); !ops[op] { // a look-up is cheaper than a store
				ops[op] = true
			}
		}
	}
	has := func(want ...string) bool {
		for _, op := range want {
			if ops[op] {
				return true
			}
		}
		return false
	}
	var extra []string
	if caches(m) {
		extra = append(extra, "with cache")
	}
	for _, e := range exporters {
		if e.is(m, l, has) {
			return strings.Join(append([]string{e.name}, extra...), ", ")
		}
	}
	return strings.Join(append([]string{"unknown exporter"}, extra...), ", ")
}

func caches(m *graph.Model) bool {
	for _, v := range m.Graph.Inputs() {
		if v.Type().DType.IsFloat() && len(v.Type().Dims) >= 4 {
			return true
		}
	}
	return false
}
