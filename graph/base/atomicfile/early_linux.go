package atomicfile

import (
	"errors"
	"syscall"
)

// Reserve allocates room for a file of size bytes, so that a full disk is reported before a long copy and not during it, and
// the file is contiguous. A file system that does not support this is not an error.
func (f *File) Reserve(size int64) error {
	err := control(f.File, func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return err
	}
	return nil
}

// startWriting asks the system to start writing a range of bytes to disk. It may wait until the disk accepts them.
func (f *File) startWriting(offset, n int64) {
	const start = 2 // SYNC_FILE_RANGE_WRITE
	_ = control(f.File, func(fd int) error { return syscall.SyncFileRange(fd, offset, n, start) })
}
