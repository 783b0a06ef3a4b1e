//go:build cgo && !linux

package ort

// keepSignals calls f. Only the CUDA provider replaces signal handlers; it exists on Linux and Windows only, and Windows
// has no such handlers.
func keepSignals(f func() error) error { return f() }
