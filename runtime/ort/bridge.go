package ort

// #include "bridge.h"
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	goruntime "runtime"
	"strings"
	"unsafe"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// handle reads the C pointer that the binding keeps in unexported fields. Reflection finds the fields by name, so a
// binding with other fields causes an error here and never a wild pointer.
func handle(from any, fields ...string) (p unsafe.Pointer, err error) {
	v := reflect.ValueOf(from)
	for _, f := range fields {
		if v.Kind() != reflect.Pointer || v.IsNil() {
			return nil, fmt.Errorf("the binding has no %s in %T", f, from)
		}
		if v = v.Elem().FieldByName(f); !v.IsValid() {
			return nil, fmt.Errorf("the binding has no %s in %T", f, from)
		}
	}
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, fmt.Errorf("the binding has no pointer in %T", from)
	}
	return v.UnsafePointer(), nil
}

// failed turns a status into an error and releases the status; nil stays nil.
func failed(s *C.OrtStatus) error {
	if s == nil {
		return nil
	}
	text := strings.TrimSpace(C.GoString(C.GetErrorMessage(s)))
	C.ReleaseOrtStatus(s)
	return cause(text)
}

// cause recognises the texts with which ONNX Runtime reports that memory ran out; it has no status code for this.
func cause(text string) error {
	for _, sign := range []string{"Failed to allocate memory", "Cannot allocate memory", "bad_alloc", "bad allocation", "out of memory", "CUDA_ERROR_OUT_OF_MEMORY"} {
		if strings.Contains(text, sign) {
			return fmt.Errorf("%w: %s", runtime.ErrMemory, text)
		}
	}
	return errors.New(text)
}

// ports reads the declared inputs or outputs of a session.
func ports(s *C.OrtSession, inputs bool) ([]runtime.Port, error) {
	var n C.size_t
	count := func() *C.OrtStatus { return C.SessionGetOutputCount(s, &n) }
	if inputs {
		count = func() *C.OrtStatus { return C.SessionGetInputCount(s, &n) }
	}
	if err := failed(count()); err != nil {
		return nil, err
	}
	out := make([]runtime.Port, n)
	for i := range out {
		var name *C.char
		var info *C.OrtTypeInfo
		status := func() (*C.OrtStatus, *C.OrtStatus) {
			if inputs {
				return C.SessionGetInputName(s, C.size_t(i), &name), C.SessionGetInputTypeInfo(s, C.size_t(i), &info)
			}
			return C.SessionGetOutputName(s, C.size_t(i), &name), C.SessionGetOutputTypeInfo(s, C.size_t(i), &info)
		}
		s1, s2 := status()
		if err := errors.Join(failed(s1), failed(s2)); err != nil {
			return nil, err // the caller gives up on the model, so the result of the other call is not freed
		}
		out[i].Name = C.GoString(name)
		err := errors.Join(failed(C.FreeWithDefaultORTAllocator(unsafe.Pointer(name))), describe(info, &out[i]))
		C.ReleaseTypeInfo(info)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// describe fills in element type and dimensions. A value that is not a tensor keeps the type Undefined.
func describe(info *C.OrtTypeInfo, p *runtime.Port) (err error) {
	var kind C.enum_ONNXType
	if err := failed(C.GetONNXTypeFromTypeInfo(info, &kind)); err != nil || kind != C.ONNX_TYPE_TENSOR {
		return err
	}
	var shape *C.OrtTensorTypeAndShapeInfo // belongs to info
	if err := failed(C.CastTypeInfoToTensorInfo(info, &shape)); err != nil {
		return err
	}
	p.DType, p.Dims, err = typeAndShape(shape)
	return err
}

func typeAndShape(info *C.OrtTensorTypeAndShapeInfo) (graph.DType, []int64, error) {
	var e C.enum_ONNXTensorElementDataType
	var rank C.size_t
	if err := errors.Join(failed(C.GetTensorElementType(info, &e)), failed(C.GetDimensionsCount(info, &rank))); err != nil {
		return 0, nil, err
	}
	dims := make([]int64, rank)
	if rank > 0 {
		if err := failed(C.GetDimensions(info, (*C.int64_t)(&dims[0]), rank)); err != nil {
			return 0, nil, err
		}
	}
	return graph.DType(e), dims, nil // ONNX Runtime's numbers are those of TensorProto
}

// value wraps t for one run without copying it. p keeps the tensor's memory in place until the run is over.
func value(t *graph.Tensor, mem *C.OrtMemoryInfo, p *goruntime.Pinner) (*C.OrtValue, error) {
	data := t.Data
	if len(data) == 0 {
		data = make([]byte, 8) // an empty tensor still needs an address
	} else if size := uintptr(max(t.DType.Bits()/8, 1)); uintptr(unsafe.Pointer(&data[0]))%size != 0 {
		data = append(make([]byte, 0, len(data)+8), data...) // a slice of a file may start at an unaligned address
	}
	p.Pin(&data[0])
	var v *C.OrtValue
	return v, failed(C.CreateOrtTensorWithShape(unsafe.Pointer(&data[0]), C.size_t(len(t.Data)),
		(*C.int64_t)(unsafe.SliceData(t.Dims)), C.int64_t(len(t.Dims)), mem, C.ONNXTensorElementDataType(t.DType), &v))
}

// shapeOf returns the element type and the shape of a tensor made by ONNX Runtime.
func shapeOf(v *C.OrtValue) (graph.DType, []int64, error) {
	var kind C.enum_ONNXType
	if err := failed(C.GetValueType(v, &kind)); err != nil {
		return 0, nil, err
	}
	if kind != C.ONNX_TYPE_TENSOR {
		return 0, nil, errors.New("is not a tensor")
	}
	var info *C.OrtTensorTypeAndShapeInfo
	if err := failed(C.GetTensorTypeAndShape(v, &info)); err != nil {
		return 0, nil, err
	}
	defer C.ReleaseTensorTypeAndShapeInfo(info)
	return typeAndShape(info)
}

// tensor copies a value made by ONNX Runtime into Go memory.
func tensor(v *C.OrtValue) (*graph.Tensor, error) {
	d, dims, err := shapeOf(v)
	if err != nil {
		return nil, err
	}
	n, err := graph.ByteSize(d, dims)
	if err != nil {
		return nil, err
	}
	t := &graph.Tensor{DType: d, Dims: dims, Data: make([]byte, n)}
	data, err := bytesOf(v, n)
	if err != nil {
		return nil, err
	}
	copy(t.Data, data)
	return t, nil
}

// bytesOf returns the n bytes of a tensor in the memory of ONNX Runtime.
func bytesOf(v *C.OrtValue, n int64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	var data unsafe.Pointer
	if err := failed(C.GetTensorMutableData(v, &data)); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(data), n), nil
}
