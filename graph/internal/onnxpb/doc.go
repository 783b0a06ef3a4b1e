// Package onnxpb holds the generated messages of the ONNX file format. Only package graph uses it, and only for the
// small parts of a file: attributes, types, small tensors. The walk over whole files is graph's own.
//
// "go generate" needs protoc and protoc-gen-go v1.36.12 on the PATH.
package onnxpb

//go:generate protoc -I. --go_out=. --go_opt=paths=source_relative onnxinject_onnx_ml.proto
