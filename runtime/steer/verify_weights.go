package steer

import (
	"fmt"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// checkWeights compares the tensors of the patched file with the original's tensors of the same names, and files that it refers to
// with the manifest. Tensors that the rewrite added have no counterpart; tensors that it dropped are not needed.
func (v *verifier) checkWeights(full bool) (Check, error) {
	c := Check{Name: "weights equal the original's", Layer: -1, Want: "0 tensors", Note: "a sample of each"}
	if full {
		c.Note = "every byte"
		if err := v.checkAllData(); err != nil {
			return c, err
		}
	}
	originals := map[string][]*graph.Const{} // branches may share a name
	for k, name := range v.original.Graph.Constants() {
		originals[name] = append(originals[name], k)
	}
	var differ []string
	for k, name := range v.patched.Graph.Constants() {
		candidates := originals[name]
		same := len(candidates) == 0
		for _, o := range candidates {
			equal, err := k.Equal(v.ctx, o, full)
			if err != nil {
				return c, fmt.Errorf("compare the weights %q: %w", name, err)
			}
			same = same || equal
		}
		if !same {
			differ = append(differ, fmt.Sprintf("%q", name))
		}
	}
	c.Got, c.OK = float64(len(differ)), len(differ) == 0
	if !c.OK {
		c.Note = strings.Join(differ[:min(3, len(differ))], ", ")
	}
	return c, nil
}

// checkAllData reads every file of weights that has a checksum: that of its model, or that of the manifest.
func (v *verifier) checkAllData() error {
	for _, m := range []*graph.Model{v.original.Graph, v.patched.Graph} {
		if _, err := m.CheckData(v.ctx); err != nil {
			return fmt.Errorf("%s: %w", m.Path(), err)
		}
	}
	sampled, err := v.patched.Manifest.CheckData(v.ctx, v.patched.Graph, true)
	if err != nil {
		return fmt.Errorf("%s: %w", v.report.Patched, err)
	}
	if len(sampled) > 0 {
		return hint.With(fmt.Errorf("%s refers to the weights in %s and holds a sample of them, not a checksum of every byte", v.report.Patched, strings.Join(sampled, ", ")),
			"write the copy again with rewrite --digest, or verify without --full")
	}
	return nil
}
