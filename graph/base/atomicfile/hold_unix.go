//go:build unix && !solaris && !aix

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

// hold opens a file anew and locks it, without waiting. The lock ends with the process, however that ends.
func hold(path string) (*os.File, holding) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0) // a pipe would wait
	if err != nil {
		return nil, cannotTell
	}
	err = control(f, func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	switch {
	case err == nil:
		return f, held
	case errors.Is(err, syscall.EWOULDBLOCK):
		f.Close()
		return nil, heldByAnother
	}
	f.Close()
	return nil, cannotTell // the file system has no locks
}

// control calls do with a file's descriptor.
func control(f *os.File, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}
