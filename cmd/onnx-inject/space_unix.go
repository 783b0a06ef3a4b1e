//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeSpace tells how many bytes a user may still write into a folder; ok is false where that is not known.
func freeSpace(dir string) (n int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 {
		return 0, false // a file system without a size, such as /proc
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
