package ort

// The declarations below are those of the binding's onnxruntime_wrapper.h, whose functions are linked into every program that imports
// the binding. TestBridge compares them with that header.

/*
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct OrtStatus OrtStatus;
typedef struct OrtSession OrtSession;
typedef struct OrtValue OrtValue;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef enum ONNXTensorElementDataType { ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED } ONNXTensorElementDataType;
enum ONNXType { ONNX_TYPE_UNKNOWN, ONNX_TYPE_TENSOR };

// declarations of the binding
const char *GetErrorMessage(OrtStatus *status);
void ReleaseOrtStatus(OrtStatus *status);
OrtStatus *RunOrtSessionWithOptions(OrtSession *session, OrtValue **inputs, char **input_names, int input_count, OrtValue **outputs, char **output_names, int output_count, OrtRunOptions *run_options);
void ReleaseOrtValue(OrtValue *value);
OrtStatus *CreateOrtTensorWithShape(void *data, size_t data_size, int64_t *shape, int64_t shape_size, OrtMemoryInfo *mem_info, ONNXTensorElementDataType dtype, OrtValue **out);
OrtStatus *GetTensorTypeAndShape(const OrtValue *value, OrtTensorTypeAndShapeInfo **out);
OrtStatus *GetDimensionsCount(const OrtTensorTypeAndShapeInfo *info, size_t *out);
OrtStatus *GetDimensions(const OrtTensorTypeAndShapeInfo *info, int64_t *dim_values, size_t dim_values_length);
OrtStatus *GetTensorElementType(const OrtTensorTypeAndShapeInfo *info, enum ONNXTensorElementDataType *out);
void ReleaseTensorTypeAndShapeInfo(OrtTensorTypeAndShapeInfo *input);
OrtStatus *GetTensorMutableData(OrtValue *value, void **out);
OrtStatus *GetValueType(OrtValue *v, enum ONNXType *out);
OrtStatus *SessionGetInputCount(OrtSession *session, size_t *result);
OrtStatus *SessionGetOutputCount(OrtSession *session, size_t *result);
OrtStatus *SessionGetInputName(OrtSession *session, size_t i, char **name);
OrtStatus *SessionGetOutputName(OrtSession *session, size_t i, char **name);
OrtStatus *FreeWithDefaultORTAllocator(void *to_free);
OrtStatus *SessionGetInputTypeInfo(OrtSession *session, size_t i, OrtTypeInfo **out);
OrtStatus *SessionGetOutputTypeInfo(OrtSession *session, size_t i, OrtTypeInfo **out);
OrtStatus *CastTypeInfoToTensorInfo(OrtTypeInfo *type_info, OrtTensorTypeAndShapeInfo **out);
OrtStatus *GetONNXTypeFromTypeInfo(OrtTypeInfo *info, enum ONNXType *out);
void ReleaseTypeInfo(OrtTypeInfo *o);
// end of the declarations of the binding
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	goruntime "runtime"
	"slices"
	"strings"
	"unsafe"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// handle reads the C pointer that the binding keeps in unexported fields. Reflection finds them by name, so a binding that is built otherwise
// gives an error here and never a wild pointer.
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

// failed turns a status into an error and releases it; nil stays nil.
func failed(s *C.OrtStatus) error {
	if s == nil {
		return nil
	}
	text := strings.TrimSpace(C.GoString(C.GetErrorMessage(s)))
	C.ReleaseOrtStatus(s)
	return cause(text)
}

// cause recognises the texts with which ONNX Runtime reports that memory ran out; it has no status code for it.
func cause(text string) error {
	for _, sign := range []string{"Failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "CUDA_ERROR_OUT_OF_MEMORY"} {
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
			return nil, err // the process is about to give up on the model: what the other call made is not worth freeing
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

// describe fills in element type and dimensions; what is not a tensor keeps type Undefined.
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

// value wraps t for one run without copying it; p keeps its memory in place until the run is over.
func value(t *graph.Tensor, mem *C.OrtMemoryInfo, p *goruntime.Pinner) (*C.OrtValue, error) {
	data := t.Data
	if len(data) == 0 {
		data = make([]byte, 8) // an empty tensor still needs an address
	} else if size := uintptr(max(t.DType.Bits()/8, 1)); uintptr(unsafe.Pointer(&data[0]))%size != 0 {
		data = append(make([]byte, 0, len(data)+8), data...) // a slice of a file may lie on an odd address
	}
	p.Pin(&data[0])
	var v *C.OrtValue
	return v, failed(C.CreateOrtTensorWithShape(unsafe.Pointer(&data[0]), C.size_t(len(t.Data)),
		(*C.int64_t)(unsafe.SliceData(t.Dims)), C.int64_t(len(t.Dims)), mem, C.ONNXTensorElementDataType(t.DType), &v))
}

// tensor copies a value that ONNX Runtime made into memory of ours.
func tensor(v *C.OrtValue) (*graph.Tensor, error) {
	var kind C.enum_ONNXType
	if err := failed(C.GetValueType(v, &kind)); err != nil {
		return nil, err
	}
	if kind != C.ONNX_TYPE_TENSOR {
		return nil, errors.New("is not a tensor")
	}
	var info *C.OrtTensorTypeAndShapeInfo
	if err := failed(C.GetTensorTypeAndShape(v, &info)); err != nil {
		return nil, err
	}
	d, dims, err := typeAndShape(info)
	C.ReleaseTensorTypeAndShapeInfo(info)
	if err != nil {
		return nil, err
	}
	n, err := graph.ByteSize(d, dims)
	if err != nil {
		return nil, err
	}
	t := &graph.Tensor{DType: d, Dims: dims, Data: make([]byte, n)}
	if n == 0 {
		return t, nil
	}
	var data unsafe.Pointer
	if err := failed(C.GetTensorMutableData(v, &data)); err != nil {
		return nil, err
	}
	copy(t.Data, unsafe.Slice((*byte)(data), n))
	return t, nil
}

// runner runs a session of the binding. The names of its ports lie in C memory, where every run can use them.
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

// free releases the names; the session belongs to the binding.
func (r *runner) free() {
	for _, n := range r.names {
		C.free(unsafe.Pointer(n))
	}
	r.names = nil
}

// do runs the session once. The feed has been checked against ins.
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
		<-terminated // Terminate must not meet options that are gone
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
