package ort

// #include "bridge.h"
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/onnx-inject/onnx-inject/graph"
)

// held is a tensor in memory of ONNX Runtime. It is freed when it is closed and no run uses it. The value holds a reference to
// its allocator, so it does not depend on the session that made it.
type held struct {
	dtype graph.DType
	dims  []int64

	mu     sync.Mutex
	v      *C.OrtValue // nil once freed
	users  int         // runs in progress
	closed bool
}

var errClosedValue = errors.New("the value is closed")

// hold copies a tensor.
func hold(t *graph.Tensor) (*held, error) {
	n, err := graph.ByteSize(t.DType, t.Dims)
	if err != nil {
		return nil, err
	}
	if int64(len(t.Data)) != n {
		return nil, fmt.Errorf("want %d bytes, got %d", n, len(t.Data))
	}
	h := &held{dtype: t.DType, dims: slices.Clone(t.Dims)}
	if err := failed(C.CreateTensorAsOrtValue((*C.int64_t)(unsafe.SliceData(h.dims)), C.int64_t(len(h.dims)), C.ONNXTensorElementDataType(t.DType), &h.v)); err != nil {
		return nil, err
	}
	data, err := bytesOf(h.v, n)
	if err != nil {
		C.ReleaseOrtValue(h.v)
		return nil, err
	}
	copy(data, t.Data)
	return h, nil
}

// acquire keeps the memory until release is called. It returns false for a closed value.
func (h *held) acquire() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.users++
	}
	return !h.closed
}

func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users--
	h.free()
}

func (h *held) free() {
	if h.closed && h.users == 0 && h.v != nil {
		C.ReleaseOrtValue(h.v)
		h.v = nil
	}
}

func (h *held) DType() graph.DType { return h.dtype }
func (h *held) Dims() []int64      { return h.dims }

func (h *held) Tensor() (*graph.Tensor, error) {
	if !h.acquire() {
		return nil, errClosedValue
	}
	defer h.release()
	return tensor(h.v)
}

func (h *held) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.free()
	return nil
}
