// Package ort runs models with ONNX Runtime. It is the only package of the project that uses cgo and loads a shared
// library. Without cgo it still compiles, and [Host.Open] returns an error that names what is missing.
//
// # The binding and its gaps
//
// The binding, github.com/yalue/onnxruntime_go, loads the library, creates sessions and sets their options. The way it
// runs a session has gaps that matter here:
//
//   - Outputs of float16 or bfloat16 and scalar outputs fail unless their shape is known in advance.
//   - A run computes all outputs that were named when the session was created.
//   - A session does not list its inputs and outputs. A second, temporary session does, which costs seconds for a large
//     model.
//
// The binding's own C functions can do all of this. bridge.h declares the few functions that are needed; bridge.go and
// run.go call them with the binding's session. The linker checks that the functions exist, and a test compares their
// declarations with the binding's header.
//
// # The library
//
// A process loads one library once, on the first Open; package lib chooses it. ONNX Runtime prints its errors in red in
// addition to returning them, so it is set to print only errors that end the process.
//
// # Signals
//
// The CUDA provider installs its own signal handlers without SA_ONSTACK. After that, Ctrl+C ends a Go program with a
// crash report. The handlers are therefore restored after a session has been created.
package ort
