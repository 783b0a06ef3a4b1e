//go:build unix

package atomicfile

import (
	"errors"
	"os"
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

// A file that may not grow (ulimit -f) is an error with the number of bytes, and the old file stays.
func TestC04FileMayNotGrow(t *testing.T) {
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	must(t, Write(path, []byte("old"), false))
	const limit = 1 << 20 // the test program itself writes a log of a few kilobytes
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: was.Max}))
	err := Write(path, make([]byte, 2*limit), true)
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
	if err == nil || err.Error() != "write "+path+": file too large: 2097152 bytes are needed" || !errors.Is(err, syscall.EFBIG) {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "old" {
		t.Errorf("the file has %q, %v", b, err)
	}
	if got := left(t, dir); len(got) != 1 {
		t.Errorf("files left: %v", got)
	}
}

// A file that is closed has no descriptor to control.
func TestControlClosed(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	f.Close()
	if err := control(f, func(int) error { return nil }); err == nil {
		t.Error("a closed file was controlled")
	}
	if err := control(nil, func(int) error { return nil }); err == nil {
		t.Error("no file was controlled")
	}
}
