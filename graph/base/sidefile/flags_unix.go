//go:build unix

package sidefile

import "syscall"

// NoFollow is a flag of [os.OpenFile]: a symbolic link is not followed. It is 0 where the system has no such flag; see [Plain].
const NoFollow = syscall.O_NOFOLLOW

const noWait = syscall.O_NONBLOCK // to open a pipe does not wait for a writer
