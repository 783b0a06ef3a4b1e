//go:build unix

package atomicfile

import (
	"path/filepath"
	"syscall"
	"testing"
)

// makeSpecial puts into a folder what is no file and that anybody may make on this system.
func makeSpecial(t *testing.T, dir string) []string {
	t.Helper()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"pipe"}
}
