package graph

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClose closes a model and two clones that share two files. The files must be readable until the last model is closed.
func TestClose(t *testing.T) {
	large := func(name string, fields ...[]byte) []byte {
		return sub(5, cat(append(fields, str(8, name), num(1, 512), num(2, 1))...))
	}
	dir := folder(t, map[string]string{
		"w.bin":  strings.Repeat("w", 2048),
		"m.onnx": string(cat(head, sub(7, neg, inX, outY, large("e", entry("location", "w.bin"), num(14, 1)), large("i", sub(9, make([]byte, 2048)))))),
	})
	m, err := Load(filepath.Join(dir, "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	c := m.Clone()
	other := m.Clone()
	reads := func() error {
		for _, name := range []string{"e", "i"} {
			if _, err := c.Graph.Lookup(name).Const().Load(); err != nil {
				return err
			}
		}
		return nil
	}
	for _, m := range []*Model{m, m, other} {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := reads(); err != nil {
			t.Fatalf("the clone is still open: %v", err)
		}
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	const closed = "the model is closed"
	if err := reads(); err == nil || !strings.Contains(err.Error(), closed) {
		t.Errorf("a read after the last Close: %v", err)
	}
	if _, err := Save(t.Context(), c, filepath.Join(dir, "out.onnx"), Embed, false); err == nil || !strings.Contains(err.Error(), closed) {
		t.Errorf("a save after the last Close: %v", err)
	}
	if _, err := c.Files()[0].Sample(); err == nil || !strings.Contains(err.Error(), closed) {
		t.Errorf("a sample after the last Close: %v", err)
	}
	if err := c.Clone().Close(); err != nil {
		t.Error(err)
	}
	if _, err := Save(t.Context(), c, filepath.Join(dir, "ref.onnx"), Ref, false); err != nil {
		t.Errorf("a reference needs no weights: %v", err)
	}
	if err := parse(t, "graph g { in x out x }").Close(); err != nil {
		t.Error(err)
	}
}

// TestRefusedFilesAreClosed loads files that are refused at several stages. No file may stay open.
func TestRefusedFilesAreClosed(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("the system does not list open files")
		}
		return len(fds)
	}
	dir := folder(t, map[string]string{
		"w.bin":      strings.Repeat("w", 16),
		"text.onnx":  "text",
		"short.onnx": string(initializer(num(1, 400), num(2, 1), entry("location", "w.bin"), num(14, 1))),
		"cycle.onnx": string(cat(head, sub(7, cat(sub(1, str(1, "a"), str(2, "a"), str(4, "Neg")), sub(5, str(8, "w"), num(1, 4), num(2, 1), entry("location", "w.bin"), num(14, 1)))))),
	})
	before := open()
	for _, name := range []string{"text.onnx", "short.onnx", "cycle.onnx"} {
		if _, err := Load(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is read", name)
		}
		if _, err := Locations(filepath.Join(dir, name)); err != nil && name != "text.onnx" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseIn(dir, `graph g { const w = float32[4] file "w.bin" 0 16 out v }`); err == nil {
		t.Error("the text is read")
	}
	if after := open(); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}
