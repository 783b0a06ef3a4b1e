//go:build cgo && !linux

package ort

// keepSignals calls f: the CUDA provider exists on Linux and Windows only, and Windows has no such handlers.
func keepSignals(f func() error) error { return f() }
