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
func CheckInputs(ports []Port, in map[string]*graph.Tensor) error { return checkInputs(ports, in, nil) }

// checkInputs checks inputs of which the host holds some.
func checkInputs(ports []Port, in map[string]*graph.Tensor, held map[string]Value) error {
	var errs []error
	known := make(map[string]bool, len(ports))
	for _, p := range ports {
		known[p.Name] = true
		t, v := in[p.Name], held[p.Name]
		var err error
		switch {
		case t != nil && v != nil:
			err = errors.New("is fed twice")
		case t != nil:
			err = checkTensor(p, t)
		case v != nil:
			err = checkShape(p, v.DType(), v.Dims())
		default:
			err = fmt.Errorf("missing; want %v %s", p.DType, dims(p.Dims))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("input %q: %w", p.Name, err))
		}
	}
	fed := slices.AppendSeq(slices.Collect(maps.Keys(in)), maps.Keys(held))
	slices.Sort(fed)
	for _, name := range slices.Compact(fed) {
		if !known[name] {
			errs = append(errs, fmt.Errorf("input %q: unknown; the model has %s", name, names(ports)))
		}
	}
	return errors.Join(errs...)
}

func checkTensor(p Port, t *graph.Tensor) error {
	if err := checkType(p, t.DType); err != nil {
		return err
	}
	n, err := graph.ByteSize(t.DType, t.Dims)
	if err != nil {
		return err
	}
	if int64(len(t.Data)) != n {
		return fmt.Errorf("%v %s takes %d bytes, got %d", t.DType, dims(t.Dims), n, len(t.Data))
	}
	return checkShape(p, t.DType, t.Dims)
}

func checkType(p Port, d graph.DType) error {
	if p.DType == graph.Undefined {
		return errors.New("the model declares a type other than tensor")
	}
	if d != p.DType {
		return fmt.Errorf("want %v, got %v", p.DType, d)
	}
	return nil
}

func checkShape(p Port, d graph.DType, shape []int64) error {
	if err := checkType(p, d); err != nil {
		return err
	}
	// Without declared dimensions the port is a scalar or of unknown rank; only the host knows which.
	if len(p.Dims) > 0 && !slices.EqualFunc(p.Dims, shape, func(want, got int64) bool { return want < 0 || want == got }) {
		return fmt.Errorf("want shape %s, got %s", dims(p.Dims), dims(shape))
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
