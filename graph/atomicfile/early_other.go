//go:build !linux

package atomicfile

// Reserve does nothing on this system.
func (f *File) Reserve(size int64) error { return nil }

// WriteBack does nothing on this system.
func (f *File) WriteBack(offset, n int64) {}
