//go:build unix

package sidefile

import "syscall"

const (
	noWait   = syscall.O_NONBLOCK // to open a pipe does not wait for a writer
	noFollow = syscall.O_NOFOLLOW
)
