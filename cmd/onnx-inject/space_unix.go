//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeSpace returns the number of bytes that a user can still write into a folder; ok is false if it is unknown.
func freeSpace(dir string) (n int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 {
		return 0, false // a file system without a size, such as /proc
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
