//go:build unix

package sidefile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Nobody writes into the pipe: to open it would wait for ever. A device never ends.
func TestReadSpecial(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.json")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pipe.json": "got a named pipe", "zero.json": "got a device"} {
		if _, err := Read(os.DirFS(dir), name, 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
		if _, err := ReadFile(filepath.Join(dir, name), 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

// A pipe that takes the name of a file between the check and the opening does not keep the reader waiting.
func TestOpenDoesNotWait(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(pipe, os.O_RDONLY|noWait, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestReadSocket(t *testing.T) {
	t.Chdir(t.TempDir()) // the path of a socket must be short
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: "s.json"}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile("s.json", 4); err == nil || !strings.Contains(err.Error(), "got a socket") {
		t.Errorf("got %v", err)
	}
	if _, err := OpenOwn("s.json", 4); err == nil || !strings.Contains(err.Error(), "got a socket") {
		t.Errorf("own: got %v", err)
	}
}
