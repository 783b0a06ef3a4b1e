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

// do runs the session once. The caller has checked the feed against ins.
func (r *runner) do(ctx context.Context, ins []runtime.Port, feed map[string]*graph.Tensor, outs []runtime.Port) (map[string]*graph.Tensor, error) {
	var pins goruntime.Pinner // the library reads and may keep the address of a tensor's memory until the run is over
	defer pins.Unpin()
	var inNames, outNames []*C.char
	var inValues []*C.OrtValue
	outValues := make([]*C.OrtValue, len(outs))
	defer func() {
		for _, v := range slices.Concat(inValues, outValues) {
			if v != nil {
				C.ReleaseOrtValue(v)
			}
		}
	}()
	for _, p := range ins {
		v, err := value(feed[p.Name], r.mem, &pins)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", p.Name, err)
		}
		inNames, inValues = append(inNames, r.names[p.Name]), append(inValues, v)
	}
	for _, p := range outs {
		outNames = append(outNames, r.names[p.Name])
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
	if err := failed(status); err != nil {
		return nil, err
	}
	res := make(map[string]*graph.Tensor, len(outs))
	for i, p := range outs {
		if res[p.Name], err = tensor(outValues[i]); err != nil {
			return nil, fmt.Errorf("output %q: %w", p.Name, err)
		}
	}
	return res, nil
}
