//go:build cgo

package ort

import "syscall"

func loads(path string) bool {
	_, err := syscall.LoadLibrary(path)
	return err == nil
}
