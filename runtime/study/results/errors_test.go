package results

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// begun returns a writer to a new folder that is ready to append.
func begun(t *testing.T) (*Writer, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	w, err := Create(dir, manifest())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := w.Begin(Plan{Used: "fanout"}); err != nil {
		t.Fatal(err)
	}
	return w, dir
}

// isWriteError requires an error of writing a file: the command line gives it the exit code 5.
func isWriteError(t *testing.T, what string, err error, name string) {
	t.Helper()
	var e *atomicfile.Error
	if !errors.As(err, &e) || filepath.Base(e.Path) != name {
		t.Errorf("%s: got %v, want an error of writing %s", what, err, name)
	}
}

// A disk that is full when cells are appended gives an error with the path and the bytes that are needed.
func TestC04AppendToFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this system has no device that is always full")
	}
	defer full.Close()
	w, dir := begun(t)
	w.cells.Close()
	w.cells = full
	err = w.Append(prompt(0))
	isWriteError(t, "full", err, "full")
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device: ") || !strings.HasSuffix(err.Error(), " bytes are needed") ||
		!strings.Contains(hint.Of(err), "the rows so far are safe") {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
	if w.Done(0) {
		t.Error("a prompt that was not written is done")
	}
	if r, err := Load(t.Context(), dir); err != nil || len(r.Prompts) != 0 {
		t.Errorf("%v, %v", r, err)
	}
}

// Whatever fails while a prompt is appended, it is not done, and the folder can be read and resumed.
func TestAppendFails(t *testing.T) {
	for name, spoil := range map[string]func(w *Writer){
		CellsFile:   func(w *Writer) { w.cells.Close() },
		PromptsFile: func(w *Writer) { w.prompts.Close() },
	} {
		w, dir := begun(t)
		if err := w.Append(prompt(0)); err != nil {
			t.Fatal(err)
		}
		spoil(w)
		isWriteError(t, name, w.Append(prompt(1)), name)
		if w.Done(1) || !w.Done(0) {
			t.Errorf("%s: done %v", name, w.done)
		}
		w.Close()
		fill(t, dir, 0, 1, 2)
		if r, err := Load(t.Context(), dir); err != nil || len(r.Prompts) != 3 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBeginFails(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0)
	w, err := Create(dir, manifest())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(Plan{Used: "points"}); err == nil || !strings.Contains(err.Error(), `plan.used: "fanout" in the folder, "points" now`) {
		t.Errorf("another plan: %v", err)
	}
	w.Close()
	for _, name := range []string{ManifestFile, CellsFile, PromptsFile} {
		dir := t.TempDir()
		w, err := Create(dir, manifest())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		isWriteError(t, "a folder", w.Begin(Plan{}), name)
		w.Close()
	}
}

// What cannot be cut or moved in is no file to append to.
func TestAppendToDevice(t *testing.T) {
	for _, path := range []string{"/dev/full", "/dev/null"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip("this system has no such device")
		}
		f, err := (&Writer{}).appendTo(path, 0, cellColumns)
		if err == nil {
			f.Close()
		}
		isWriteError(t, path, err, filepath.Base(path))
	}
}

func TestSummary(t *testing.T) {
	w, dir := begun(t)
	if err := w.Summary(map[string]string{"a": "<b>"}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, SummaryFile)); string(b) != "{\n  \"a\": \"<b>\"\n}\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := w.Summary(func() {}); err == nil {
		t.Error("a function became JSON")
	}
}

// Folders that cannot be created, and locks that name nobody.
func TestCreateFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Create(filepath.Join(file, "out"), manifest())
	isWriteError(t, "below a file", err, "out")

	_, dir := begun(t)
	if err := os.Truncate(filepath.Join(dir, outdir.LockFile), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, manifest()); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another process is writing") {
		t.Errorf("got %v", err)
	}
	_, dir = begun(t)
	if err := os.WriteFile(filepath.Join(dir, ManifestFile), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "manifest.json: unexpected end of JSON input") {
		t.Errorf("half a manifest: %v", err)
	}
}

// Tables that no writer makes.
func TestOddTables(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		change     func(string) string
		want       string
	}{
		{"fewer than no cells", PromptsFile, func(s string) string { return strings.Replace(s, "\n0,Rome,7,5,4,", "\n0,Rome,7,5,-4,", 1) }, "want a number of cells, found -4"},
		{"a cell outside of the grid", CellsFile, func(s string) string {
			return strings.Replace(s, "\nm,d.csv,0,2,1,", "\nm,d.csv,0,3,1,", 1)
		}, "found 0 cells of layer 2, tau 1"},
		{"a row with a field too many", CellsFile, func(s string) string { return strings.Replace(s, "\nm,d.csv,0,0,1,", "\n,m,d.csv,0,0,1,", 1) }, "cells.csv: record on line 3: wrong number of fields"},
		{"a quotation mark alone", CellsFile, func(s string) string { return strings.Replace(s, "\nm,", "\nm\",", 1) }, `cells.csv: parse error`},
	} {
		dir := t.TempDir()
		fill(t, dir, 0, 1)
		unseal(t, dir)
		rewriteFile(t, dir, tt.file, tt.change)
		if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	m := manifest()
	_, cells := prompt(0)
	if err := m.checkGrid(append(cells, cells[0])); err == nil || !strings.Contains(err.Error(), "is not in the grid of manifest.json") {
		t.Errorf("a cell after the last: %v", err)
	}
	dir := t.TempDir()
	fill(t, dir, 0)
	for _, name := range []string{CellsFile, PromptsFile} {
		path := filepath.Join(dir, name)
		if err := os.Rename(path, path+".kept"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), name+": want a regular file, got a folder") {
			t.Errorf("a folder: %v", err)
		}
		os.Remove(path)
		os.Rename(path+".kept", path)
	}
}
