//go:build cgo && (amd64 || arm64)

package ort

import (
	"errors"
	"syscall"
	"testing"
	"unsafe"
)

// action is the kernel's struct sigaction.
type action struct {
	handler, flags, restorer, mask uint64
}

func sigaction(t *testing.T, set, get *action) {
	t.Helper()
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGUSR2), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 8, 0, 0)
	if e != 0 {
		t.Fatal(e)
	}
}

// TestKeepSignals imitates a provider that installs a handler without SA_ONSTACK.
func TestKeepSignals(t *testing.T) {
	const onStack = 0x08000000
	var before, after action
	sigaction(t, nil, &before)
	if before.flags&onStack == 0 {
		t.Fatalf("Go's own handler has flags %#x", before.flags)
	}
	failed := errors.New("failed")
	for _, result := range []error{nil, failed} {
		err := keepSignals(func() error {
			foreign := before
			foreign.flags &^= onStack
			sigaction(t, &foreign, nil)
			return result
		})
		if err != result {
			t.Errorf("got %v, want %v", err, result)
		}
		sigaction(t, nil, &after)
		if after.handler != before.handler || after.flags != before.flags || after.mask != before.mask {
			t.Errorf("handler was %+v and is %+v", before, after)
		}
	}
}
