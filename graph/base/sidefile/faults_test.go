package sidefile

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
)

// faulty is a folder with one file. What its size says, what opening it does and what reading it gives need not agree.
type faulty struct {
	info fs.FileInfo
	open error
	data io.Reader
}

func (f faulty) Stat(string) (fs.FileInfo, error) { return f.info, nil }
func (f faulty) Open(name string) (fs.File, error) {
	if f.open != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: f.open}
	}
	return file{f}, nil
}

type file struct{ faulty }

func (f file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f file) Read(p []byte) (int, error) { return f.data.Read(p) }
func (f file) Close() error               { return nil }

// A file that changes between the check and the reading, or that cannot be read, is an error that names it.
func TestReadFaults(t *testing.T) {
	info := func(mode fs.FileMode) fs.FileInfo {
		st, err := fs.Stat(fstest.MapFS{"a.json": {Data: []byte("1234"), Mode: mode}}, "a.json")
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	broken := errors.New("broken disk")
	for _, test := range []struct {
		name string
		fsys faulty
		want string
	}{
		{"removed", faulty{info: info(0o600), open: fs.ErrNotExist}, "open a.json: file does not exist"},
		{"grown", faulty{info: info(0o600), data: strings.NewReader("12345")}, "a.json: want at most 4 bytes, got more"},
		{"broken", faulty{info: info(0o600), data: iotest.ErrReader(broken)}, "a.json: broken disk"},
		{"broken, named", faulty{info: info(0o600), data: iotest.ErrReader(&fs.PathError{Op: "read", Path: "/m/a.json", Err: broken})}, "read /m/a.json: broken disk"},
		{"special", faulty{info: info(fs.ModeIrregular)}, "a.json: want a regular file, got a special file"},
		{"whole", faulty{info: info(0o600), data: iotest.OneByteReader(strings.NewReader("1234"))}, ""},
	} {
		data, err := Read(test.fsys, "a.json", 4)
		if test.want == "" && (err != nil || string(data) != "1234") || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %q, %v, want %q", test.name, data, err, test.want)
		}
		if errors.Is(err, fs.ErrNotExist) != (test.name == "removed") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Rows reports the error of the file, not a quotation mark that is missing because of it, and the line of a field.
func TestRowsFaults(t *testing.T) {
	r := NewRows(io.MultiReader(strings.NewReader("a,b\n\"c\nd\",e\n\"f"), iotest.ErrReader(errors.New("broken disk"))), 1<<20)
	for _, want := range []struct{ first, second int }{{1, 1}, {2, 3}} {
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
		if a, b := r.Line(0), r.Line(1); a != want.first || b != want.second {
			t.Errorf("the fields begin on lines %d and %d, want %d and %d", a, b, want.first, want.second)
		}
	}
	if _, err := r.Read(); err == nil || err.Error() != "broken disk" {
		t.Errorf("got %v, want the error of the disk", err)
	}
}
