//go:build cgo

package ort_test

import (
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/runtimetest"
)

func TestSuite(t *testing.T) { runtimetest.Suite(t, orttest.Host(t), runtime.Options{}) }
