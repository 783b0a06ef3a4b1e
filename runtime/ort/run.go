package ort

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"
	"unsafe"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// runner runs a session of the binding. The names of its ports are kept in C memory for use by every run.
type runner struct {
	session *C.OrtSession
	mem     *C.OrtMemoryInfo
	names   map[string]*C.char
}

func newRunner(b *binding.DynamicAdvancedSession) (r *runner, in, out []runtime.Port, err error) {
	s, err := handle(b, "s", "ortSession")
	if err != nil {
		return nil, nil, nil, err
	}
	mem, err := binding.GetMemoryInfo()
	if err != nil {
		return nil, nil, nil, err
	}
	r = &runner{session: (*C.OrtSession)(s), mem: (*C.OrtMemoryInfo)(unsafe.Pointer(mem)), names: map[string]*C.char{}}
	if in, err = ports(r.session, true); err != nil {
		return nil, nil, nil, err
	}
	if out, err = ports(r.session, false); err != nil {
		return nil, nil, nil, err
	}
	for _, p := range slices.Concat(in, out) {
		if r.names[p.Name] == nil {
			r.names[p.Name] = C.CString(p.Name)
		}
	}
	return r, in, out, nil
}

// free releases the names. The session belongs to the binding.
func (r *runner) free() {
	for _, n := range r.names {
		C.free(unsafe.Pointer(n))
	}
	r.names = nil
}

// do runs the session once. The caller has checked the step against ins, and outs are its outputs as [runtime.CheckStep]
// lists them. A value that a session of this package did not make is refused.
func (r *runner) do(ctx context.Context, ins []runtime.Port, step runtime.Step, outs []runtime.Port) (*runtime.Result, error) {
	var pins goruntime.Pinner // the library reads and may keep the address of a tensor's memory until the run is over
	defer pins.Unpin()
	var inNames, outNames []*C.char
	var inValues, made []*C.OrtValue // made: to be released
	outValues := make([]*C.OrtValue, len(outs))
	var used []*held
	defer func() {
		for _, v := range made {
			if v != nil {
				C.ReleaseOrtValue(v)
			}
		}
		for _, h := range used {
			h.release()
		}
	}()
	use := func(v runtime.Value) (*C.OrtValue, error) {
		h, ours := v.(*held)
		if !ours {
			return nil, fmt.Errorf("a value of another host (%T)", v)
		}
		if !h.acquire() {
			return nil, errClosedValue
		}
		used = append(used, h)
		return h.v, nil
	}
	for _, p := range ins {
		var v *C.OrtValue
		var err error
		if h := step.Held[p.Name]; h != nil {
			v, err = use(h)
		} else {
			v, err = value(step.In[p.Name], r.mem, &pins)
			made = append(made, v)
		}
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", p.Name, err)
		}
		inNames, inValues = append(inNames, r.names[p.Name]), append(inValues, v)
	}
	for i, p := range outs {
		outNames = append(outNames, r.names[p.Name])
		if h := step.Into[p.Name]; h != nil {
			var err error
			if outValues[i], err = use(h); err != nil {
				return nil, fmt.Errorf("output %q: %w", p.Name, err)
			}
		}
	}

	options, err := binding.NewRunOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	o, err := handle(options, "o")
	if err != nil {
		return nil, err
	}
	terminated := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(terminated); options.Terminate() })
	status := C.RunOrtSessionWithOptions(r.session, unsafe.SliceData(inValues), unsafe.SliceData(inNames), C.int(len(ins)),
		unsafe.SliceData(outValues), unsafe.SliceData(outNames), C.int(len(outs)), (*C.OrtRunOptions)(o))
	if !stop() {
		<-terminated // Terminate must not use released options
	}
	want, keep := len(step.Want), len(step.Want)+len(step.Keep)
	made = append(made, outValues[:keep]...) // those that stay on the host are taken out again below
	if err := failed(status); err != nil {
		return nil, err
	}
	res := &runtime.Result{Out: make(map[string]*graph.Tensor, want), Kept: make(map[string]runtime.Value, len(step.Keep))}
	for i, p := range outs[:want] {
		if res.Out[p.Name], err = tensor(outValues[i]); err != nil {
			return nil, fmt.Errorf("output %q: %w", p.Name, err)
		}
	}
	shapes := make([]*held, 0, len(step.Keep))
	for i, p := range outs[want:keep] {
		d, dims, err := shapeOf(outValues[want+i])
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", p.Name, err)
		}
		shapes = append(shapes, &held{v: outValues[want+i], dtype: d, dims: dims})
	}
	made = made[:len(made)-len(step.Keep)]
	for i, h := range shapes {
		res.Kept[step.Keep[i]] = h
	}
	return res, nil
}
