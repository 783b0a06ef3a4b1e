package runtime

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
)

// CheckInputs reports every mismatch between in and the declared ports: unknown and missing names, wrong element types,
// wrong shapes, and tensors whose data does not fill their shape.
func CheckInputs(ports []Port, in map[string]*graph.Tensor) error {
	var errs []error
	known := make(map[string]bool, len(ports))
	for _, p := range ports {
		known[p.Name] = true
		t, ok := in[p.Name]
		if !ok || t == nil {
			errs = append(errs, fmt.Errorf("input %q: missing; want %v %s", p.Name, p.DType, dims(p.Dims)))
			continue
		}
		if err := checkTensor(p, t); err != nil {
			errs = append(errs, fmt.Errorf("input %q: %w", p.Name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if !known[name] {
			errs = append(errs, fmt.Errorf("input %q: unknown; the model has %s", name, names(ports)))
		}
	}
	return errors.Join(errs...)
}

func checkTensor(p Port, t *graph.Tensor) error {
	if p.DType == graph.Undefined {
		return errors.New("the model declares a type other than tensor")
	}
	if t.DType != p.DType {
		return fmt.Errorf("want %v, got %v", p.DType, t.DType)
	}
	n, err := graph.ByteSize(t.DType, t.Dims)
	if err != nil {
		return err
	}
	if int64(len(t.Data)) != n {
		return fmt.Errorf("%v %s takes %d bytes, got %d", t.DType, dims(t.Dims), n, len(t.Data))
	}
	// Without declared dimensions the port is a scalar or of unknown rank; only the host knows which.
	if len(p.Dims) > 0 && !slices.EqualFunc(p.Dims, t.Dims, func(want, got int64) bool { return want < 0 || want == got }) {
		return fmt.Errorf("want shape %s, got %s", dims(p.Dims), dims(t.Dims))
	}
	return nil
}

// PickOutputs returns the ports named by want, in that order, or all ports when want is empty.
func PickOutputs(ports []Port, want []string) ([]Port, error) {
	if len(want) == 0 {
		return ports, nil
	}
	var picked []Port
	for i, name := range want {
		at := slices.IndexFunc(ports, func(p Port) bool { return p.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("output %q: unknown; the model has %s", name, names(ports))
		}
		if slices.Contains(want[:i], name) {
			return nil, fmt.Errorf("output %q: requested twice", name)
		}
		picked = append(picked, ports[at])
	}
	return picked, nil
}

// names lists ports for a message. A patched model can have hundreds of ports, so a long list ends with a count.
func names(ports []Port) string {
	const most = 24
	var quoted []string
	for _, p := range ports[:min(len(ports), most)] {
		quoted = append(quoted, fmt.Sprintf("%q", p.Name))
	}
	switch {
	case len(ports) == 0:
		return "none"
	case len(ports) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(quoted, ", "), len(ports)-most)
	}
	return strings.Join(quoted, ", ")
}

// dims prints a shape with "?" for a dimension of any size.
func dims(d []int64) string {
	var b strings.Builder
	for i, n := range d {
		if i > 0 {
			b.WriteByte(',')
		}
		if n < 0 {
			b.WriteByte('?')
		} else {
			fmt.Fprint(&b, n)
		}
	}
	return "[" + b.String() + "]"
}
