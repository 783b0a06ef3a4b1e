//go:build unix

package atomicfile

import (
	"path/filepath"
	"syscall"
	"testing"
)

// makeSpecial creates special files in a folder, of kinds that every user may create on this system.
func makeSpecial(t *testing.T, dir string) []string {
	t.Helper()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"pipe"}
}
