package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whatever fails on the way, the error names the target, the old file stays, and nothing else is left. The writers are spoilt by
// hand: what the system reports at sync, close and rename cannot be had from a disk in a test.
func TestC04EveryStepFails(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, f *File){
		"sync":   func(t *testing.T, f *File) { f.File.Close() },
		"close":  func(t *testing.T, f *File) { must(t, f.Sync()); f.File.Close() },
		"rename": func(t *testing.T, f *File) { must(t, os.Remove(f.File.Name())) },
	} {
		for _, force := range []bool{true, false} {
			for _, links := range []func(string, string) error{os.Link, func(string, string) error { return errors.ErrUnsupported }} {
				link = links
				dir := t.TempDir()
				path := filepath.Join(dir, "out")
				if force {
					must(t, os.WriteFile(path, []byte("old"), 0o600))
				}
				f, err := Create(path, force)
				must(t, err)
				f.File.WriteString("new")
				spoil(t, f)
				err = f.Commit()
				var e *Error
				if !errors.As(err, &e) || e.Path != path || strings.Contains(err.Error(), Prefix) || strings.Count(err.Error(), "write ") != 1 {
					t.Errorf("%s, force %v: got %v", name, force, err)
				}
				got, err := os.ReadFile(path)
				if force != (err == nil) || force && string(got) != "old" {
					t.Errorf("%s, force %v: the file has %q, %v", name, force, got, err)
				}
				if n := len(left(t, dir)); n > 1 || n == 1 && !force {
					t.Errorf("%s, force %v: files left: %v", name, force, left(t, dir))
				}
			}
		}
	}
	link = os.Link
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A folder that disappears before the file has its name.
func TestC06FolderGone(t *testing.T) {
	for _, links := range []func(string, string) error{os.Link, func(string, string) error { return errors.ErrUnsupported }} {
		link = links
		for _, force := range []bool{true, false} {
			dir := filepath.Join(t.TempDir(), "gone")
			must(t, os.Mkdir(dir, 0o700))
			f, err := Create(filepath.Join(dir, "out"), force)
			must(t, err)
			must(t, os.RemoveAll(dir))
			var e *Error
			if err := f.Commit(); !errors.As(err, &e) || !errors.Is(err, fs.ErrNotExist) || e.Path != filepath.Join(dir, "out") {
				t.Errorf("force %v: got %v", force, err)
			}
		}
	}
	link = os.Link
}

// Commit may be called twice, and Abort after it does nothing.
func TestCommitTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f, err := Create(path, false)
	must(t, err)
	f.File.WriteString("x")
	must(t, f.Sync())
	must(t, f.Sync())
	must(t, f.Commit())
	must(t, f.Commit())
	f.Abort()
	if b, err := os.ReadFile(path); string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestMove(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	must(t, os.WriteFile(from, []byte("new"), 0o600))
	must(t, os.WriteFile(to, []byte("old"), 0o600))
	must(t, Move(from, to))
	if b, err := os.ReadFile(to); string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	var e *Error
	if err := Move(from, to); !errors.As(err, &e) || e.Path != to || err.Error() != "write "+to+": no such file or directory" {
		t.Errorf("got %v", err)
	}
}

func TestNoRoom(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC: "no space left on device: 7 bytes are needed",
		&fs.PathError{Op: "write", Path: "tmp", Err: syscall.EFBIG}: "file too large: 7 bytes are needed",
		&fs.PathError{Op: "write", Path: "tmp", Err: syscall.EIO}:   "input/output error",
	} {
		got := NoRoom(err, 7)
		if got.Error() != want {
			t.Errorf("%v: got %v, want %s", err, got, want)
		}
		var errno syscall.Errno
		if !errors.As(got, &errno) {
			t.Errorf("%v: the cause is lost", got)
		}
	}
}

// A folder that cannot be read is not swept, and a file that is closed cannot be controlled.
func TestSweepNothing(t *testing.T) {
	sweep(filepath.Join(t.TempDir(), "none"))
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	f.Close()
	if _, state := hold(f.Name() + ".none"); state != cannotTell {
		t.Errorf("a file that is not there: %v", state)
	}
}
