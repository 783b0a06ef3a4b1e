//go:build unix

package main

import (
	"os"
	goruntime "runtime"
	"syscall"
	"time"
)

// peak returns the maximum resident memory of a finished process, in bytes.
func peak(p *os.ProcessState) int64 {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if goruntime.GOOS == "darwin" || goruntime.GOOS == "ios" {
		return int64(u.Maxrss) // in bytes on this system, in KiB on others
	}
	return int64(u.Maxrss) << 10
}

// worked returns the processor time of this process so far.
func worked() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
