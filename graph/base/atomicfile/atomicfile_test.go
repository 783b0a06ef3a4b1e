package atomicfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// left lists the contents of a folder, to check that no temporary file remains.
func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWrite(t *testing.T) {
	for name, links := range map[string]func(string, string) error{
		"hard links":    os.Link,
		"no hard links": func(string, string) error { return errors.ErrUnsupported },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() { link = os.Link }()
			link = links
			dir := t.TempDir()
			path := filepath.Join(dir, "out")
			if err := Write(path, []byte("one"), false); err != nil {
				t.Fatal(err)
			}
			err := Write(path, []byte("two"), false)
			var e *Error
			if !errors.Is(err, fs.ErrExist) || !errors.As(err, &e) || err.Error() != "write "+path+": the file exists already" {
				t.Errorf("over an existing file: %v", err)
			}
			if got, _ := os.ReadFile(path); string(got) != "one" {
				t.Errorf("the old file contains %q", got)
			}
			if err := Write(path, []byte("three"), true); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); string(got) != "three" {
				t.Errorf("with force: %q", got)
			}
			if got := left(t, dir); len(got) != 1 {
				t.Errorf("files left: %v", got)
			}
		})
	}
}

// An error names its path once, whatever it wraps.
func TestErrorText(t *testing.T) {
	for _, err := range []error{
		errors.New("cause"),
		&fs.PathError{Op: "write", Path: "out", Err: errors.New("cause")},
		&os.LinkError{Op: "rename", Old: "tmp", New: "out", Err: errors.New("cause")},
		&Error{"out", &fs.PathError{Op: "sync", Path: "out", Err: errors.New("cause")}},
		fmt.Errorf("%w", &Error{"out", errors.New("cause")}),
	} {
		if got := (&Error{"out", err}).Error(); got != "write out: cause" {
			t.Errorf("%#v: %q", err, got)
		}
	}
}

// A name that another process takes between Create and Commit is not overwritten.
func TestNameTakenMeanwhile(t *testing.T) {
	for _, links := range []func(string, string) error{os.Link, func(string, string) error { return errors.ErrUnsupported }} {
		link = links
		path := filepath.Join(t.TempDir(), "out")
		f, err := Create(path, false)
		if err != nil {
			t.Fatal(err)
		}
		f.File.WriteString("mine")
		if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(); !errors.Is(err, fs.ErrExist) {
			t.Errorf("commit: %v", err)
		}
		if got, _ := os.ReadFile(path); string(got) != "theirs" {
			t.Errorf("the file contains %q", got)
		}
		if got := left(t, filepath.Dir(path)); len(got) != 1 {
			t.Errorf("files left: %v", got)
		}
	}
	link = os.Link
}

func TestAbort(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(filepath.Join(dir, "out"), false)
	if err != nil {
		t.Fatal(err)
	}
	f.File.WriteString("half")
	f.Abort()
	f.Abort()
	if got := left(t, dir); len(got) != 0 {
		t.Errorf("files left: %v", got)
	}
}

func TestTargetsRefused(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                               "is a folder",
		filepath.Join(dir, "none", "out"): "no such file or directory",
	} {
		err := Write(path, nil, true)
		var e *Error
		if !errors.As(err, &e) || e.Err.Error() != want {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// A path that is not a regular file is not replaced, because a rename would put a regular file in its place.
func TestOnlyRegularFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{}
	for name, to := range map[string]string{"link": "file", "dangling": "nowhere", "folderlink": "."} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
		tests[name] = "is a symbolic link to " + to
	}
	for _, name := range makeSpecial(t, dir) {
		tests[name] = "is not a regular file"
	}
	for name, want := range tests {
		before, err := os.Lstat(at(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, force := range []bool{false, true} {
			var e *Error
			if err := Write(at(name), []byte("new"), force); !errors.As(err, &e) || e.Path != at(name) || e.Err.Error() != want {
				t.Errorf("%s, force %v: %v, want %q", name, force, err, want)
			}
		}
		if after, err := os.Lstat(at(name)); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was replaced: %v", name, err)
		}
	}
	if got, _ := os.ReadFile(at("file")); string(got) != "old" {
		t.Errorf("the target of a link contains %q", got)
	}
	if got := left(t, dir); len(got) != len(tests)+1 {
		t.Errorf("files left: %v", got)
	}
}

// A temporary file about which nothing is known is removed when it is old: those of earlier versions, of other machines on a shared
// folder.
func TestSweepOld(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, Prefix+"old.tmp"), filepath.Join(dir, Prefix+"fresh.tmp")
	for _, p := range []string{old, fresh} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "out"), nil, false); err != nil {
		t.Fatal(err)
	}
	if got := left(t, dir); len(got) != 2 {
		t.Errorf("the folder contains %v, want the fresh temporary file and out", got)
	}
}

// killedDir names for the helper process of TestSweepKilled where to write.
const killedDir = "ONNX_INJECT_TEST_KILLED_DIR"

// TestKilledHelper is the process that TestSweepKilled kills. By itself it has nothing to test.
func TestKilledHelper(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		return
	}
	for i := range 5 {
		f, err := Create(filepath.Join(dir, fmt.Sprint("killed", i)), false)
		if err != nil {
			t.Fatal(err)
		}
		f.File.WriteString("half")
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
}

// The temporary files of a process stay while it lives, and the first write after its death removes them.
func TestSweepKilled(t *testing.T) {
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestKilledHelper$")
	c.Env = append(os.Environ(), killedDir+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := Write(filepath.Join(dir, "one"), nil, false); err != nil {
		t.Fatal(err)
	}
	if got := left(t, dir); len(got) != 6 {
		t.Errorf("while the process lives, the folder contains %v", got)
	}
	c.Process.Kill()
	c.Wait()
	if _, state := hold(filepath.Join(dir, "one")); state == cannotTell {
		t.Skip("files cannot be held here: temporary files are removed when they are old")
	}
	if err := Write(filepath.Join(dir, "two"), nil, false); err != nil {
		t.Fatal(err)
	}
	if got := left(t, dir); len(got) != 2 {
		t.Errorf("after the death of the process, the folder contains %v", got)
	}
}

// Many writers to one folder sweep it at the same time, and none loses its file.
func TestSweepTogether(t *testing.T) {
	dir := t.TempDir()
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 30 {
				if err := Write(filepath.Join(dir, fmt.Sprintf("%d-%d", i, j)), []byte("x"), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if got := left(t, dir); len(got) != 8*30 {
		t.Errorf("%d files, want %d", len(got), 8*30)
	}
}

// A file that is reserved and written back early contains the written bytes, after Commit and after Abort.
func TestReserveAndWriteBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	want := bytes.Repeat([]byte("some bytes "), 4*batch/11)
	for _, commit := range []bool{false, true} {
		f, err := Create(path, false)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Abort()
		if err := f.Reserve(int64(len(want))); err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(want, batch/3) {
			if _, err := f.File.Write(part); err != nil {
				t.Fatal(err)
			}
			f.WriteBack()
		}
		if !commit {
			f.Abort()
			if got := left(t, dir); len(got) != 0 {
				t.Errorf("files left: %v", got)
			}
			continue
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes that differ from the %d written", len(got), len(want))
	}
}

// A reservation larger than any disk is refused before anything is written.
func TestReserveTooMuch(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reserves room")
	}
	f, err := Create(filepath.Join(t.TempDir(), "out"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	if err := f.Reserve(1 << 60); err == nil {
		t.Error("2^60 bytes were reserved")
	}
}
