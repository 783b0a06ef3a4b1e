//go:build !linux

package atomicfile

// Reserve does nothing on this system.
func (f *File) Reserve(size int64) error { return nil }

// startWriting does nothing on this system.
func (f *File) startWriting(offset, n int64) {}
