// Package ort runs models with ONNX Runtime. It is the only package of the project that uses cgo and loads a shared
// library; built without cgo it still compiles, and [Host.Open] says what is missing.
//
// # What the binding does, and what is done here
//
// github.com/yalue/onnxruntime_go loads the library, creates sessions and sets their options. Its way of running a
// session has four gaps that matter here: outputs of float16 or bfloat16 and scalar outputs fail unless their shape
// is known beforehand, a run computes all outputs that were named when the session was made, and a session does not
// tell its inputs and outputs (a second, throw-away session does, which costs seconds for a large model). The
// binding's own C functions can do all of this; bridge.h declares the few that are needed, bridge.go and run.go call
// them with the binding's session. The linker checks that they exist, and a test compares their declarations with the
// binding's header.
//
// # The library
//
// A process loads one library once, on the first Open (see package lib for which). ONNX Runtime prints its errors in
// red besides returning them: it is set to print nothing but what ends the process.
//
// # Signals
//
// The CUDA provider installs signal handlers of its own without SA_ONSTACK, after which a Ctrl+C ends a Go program
// with a crash report. The handlers are put back after a session has been created.
package ort
