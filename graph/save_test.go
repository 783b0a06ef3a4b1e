package graph

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// weightSums returns the SHA-256 of every tensor in the model: initializers and Constant nodes, all scopes.
func weightSums(t *testing.T, m *Model) map[string]string {
	t.Helper()
	sums := map[string]string{}
	add := func(name string, c *Const) {
		if c == nil || c.DType == String {
			return
		}
		x, err := c.Load()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sums[name] = fmt.Sprintf("%v%v %x", x.DType, x.Dims, sha256.Sum256(x.Data))
	}
	scope := 0
	for g := range m.Graphs() {
		scope++
		for v := range g.values {
			add(fmt.Sprintf("%d %s", scope, v.name), v.Const())
		}
	}
	return sums
}

// TestWeightsModes saves every fixture in every mode, from one file and from external data, and compares each tensor.
func TestWeightsModes(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			dir := t.TempDir()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			in := filepath.Join(dir, "in.onnx")
			if err := os.WriteFile(in, data, 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := Load(in)
			if err != nil {
				t.Fatal(err)
			}
			want, text := weightSums(t, m), withoutFiles(Format(m))
			// Each step reads the output of the step before.
			for i, w := range []Weights{Ref, Copy, Ref, Embed, Copy, Copy, Embed} {
				out := filepath.Join(dir, fmt.Sprintf("%d-%s.onnx", i, w))
				saved, err := Save(t.Context(), m, out, w, false)
				if err != nil {
					t.Fatal(err)
				}
				st, err := os.Stat(out)
				if err != nil || st.Size() != saved.Bytes || saved.Weights != w || (saved.Data != "") != (w == Copy) {
					t.Errorf("saved %+v, the file has %d bytes", saved, st.Size())
				}
				if m, err = Load(out); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, weightSums(t, m)); diff != "" {
					t.Fatalf("step %d, %s: -want +got\n%s", i, w, diff)
				}
				if diff := cmp.Diff(text, withoutFiles(Format(m))); diff != "" {
					t.Fatalf("step %d, %s: -want +got\n%s", i, w, diff)
				}
				for _, h := range m.holes {
					if w == Copy && h.span.Offset%align != 0 {
						t.Errorf("a tensor at offset %d", h.span.Offset)
					}
				}
			}
		})
	}
}

// TestManyDataFiles saves a model whose weights are in three files, one of them a link.
func TestManyDataFiles(t *testing.T) {
	tensor := func(name, location string) []byte {
		return sub(5, str(8, name), num(1, 256), num(2, 1), entry("location", location), num(14, 1))
	}
	dir := folder(t, map[string]string{
		"a.bin": strings.Repeat("aaaa", 256), "sub/b.bin": strings.Repeat("bbbb", 256), "c.bin ->": "sub/real", "sub/real": strings.Repeat("cccc", 256),
		"m.onnx": string(cat(head, sub(7, neg, inX, outY, tensor("a", "a.bin"), tensor("b", "sub/b.bin"), tensor("c", "c.bin"), tensor("a2", "a.bin")))),
	})
	m, err := Load(filepath.Join(dir, "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	want := weightSums(t, m)
	if got := len(m.Files()); got != 3 {
		t.Errorf("%d files, want 3", got)
	}
	for _, w := range []Weights{Ref, Copy, Embed, Auto} {
		out := filepath.Join(dir, string(w)+".onnx")
		saved, err := Save(t.Context(), m, out, w, false)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, weightSums(t, again)); diff != "" {
			t.Errorf("%s: -want +got\n%s", w, diff)
		}
		if w == Auto && saved.Weights != Ref {
			t.Errorf("auto chose %s in the model's own folder", saved.Weights)
		}
		if w == Copy {
			if st, _ := os.Stat(saved.Data); st.Size() != 2*align+1024 {
				t.Errorf("data file of %d bytes: tied weights are not shared, or not aligned", st.Size())
			}
		}
	}
	other := t.TempDir()
	if _, err := Save(t.Context(), m, filepath.Join(other, "ref.onnx"), Ref, false); err == nil || hint.Of(err) == "" || !strings.Contains(err.Error(), "cannot leave the folder") {
		t.Errorf("a reference out of the folder: %v", err)
	}
	if saved, err := Save(t.Context(), m, filepath.Join(other, "auto.onnx"), Auto, false); err != nil || saved.Weights != Embed {
		t.Errorf("auto in another folder: %+v, %v", saved, err)
	}
}

// TestB03HubCache saves from the layout of the Hugging Face hub cache: files are links to blobs.
func TestB03HubCache(t *testing.T) {
	dir := folder(t, map[string]string{
		"snapshots/x/m.onnx ->": "../../blobs/aaa", "snapshots/x/w.bin ->": "../../blobs/bbb", "blobs/bbb": strings.Repeat("w", 1024),
		"blobs/aaa": string(cat(head, sub(7, neg, inX, outY, sub(5, str(8, "w"), num(1, 256), num(2, 1), entry("location", "w.bin"), num(14, 1))))),
	})
	m, err := Load(filepath.Join(dir, "snapshots", "x", "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	// Next to the link a reference would leave the folder; next to the blobs it would not.
	if saved, err := Save(t.Context(), m, filepath.Join(dir, "snapshots", "x", "auto.onnx"), Auto, false); err != nil || saved.Weights != Embed {
		t.Errorf("auto in the snapshot: %+v, %v", saved, err)
	}
	saved, err := Save(t.Context(), m, filepath.Join(dir, "blobs", "auto.onnx"), Auto, false)
	if err != nil || saved.Weights != Ref {
		t.Fatalf("auto next to the blobs: %+v, %v", saved, err)
	}
	again, err := Load(saved.Path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(weightSums(t, m), weightSums(t, again)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, own := range []string{"snapshots/x/m.onnx", "blobs/aaa", "snapshots/x/w.bin", "blobs/bbb"} {
		if _, err := Save(t.Context(), m, filepath.Join(dir, own), Embed, true); err == nil || !strings.Contains(err.Error(), "the input file") {
			t.Errorf("%s is accepted as a target: %v", own, err)
		}
	}
}

// TestSaveRefuses tries every target that must not be written, with and without force, and checks the folder afterwards.
func TestSaveRefuses(t *testing.T) {
	dir := folder(t, map[string]string{
		"m.onnx":   string(initializer(num(1, 4), num(2, 1), entry("location", "w.bin"), num(14, 1))),
		"w.bin":    strings.Repeat("w", 16),
		"link ->":  "m.onnx",
		"wlink ->": "w.bin",
		"other":    "precious",
		"sub/x":    "",
		"c.data":   "precious",
	})
	if err := os.Link(filepath.Join(dir, "m.onnx"), filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	m, err := Load(filepath.Join(dir, "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	tests := []struct {
		name, path string
		mode       Weights
		force      bool
		want       string
	}{
		{"itself", "m.onnx", Embed, true, "the input file"},
		{"itself, another spelling", "sub/.././m.onnx", Embed, true, "the input file"},
		{"a link to itself", "link", Embed, true, "the input file"},
		{"a hard link to itself", "hard", Embed, true, "the input file"},
		{"its data", "w.bin", Embed, true, "the input file"},
		{"a link to its data", "wlink", Copy, true, "the input file"},
		{"a file that exists", "other", Embed, false, "exists already"},
		{"a folder", "sub", Embed, true, "is a folder"},
		{"a data file that exists", "c", Copy, false, "exists already"},
		{"a folder that does not exist", "none/out.onnx", Embed, false, "does not exist"},
		{"a file as folder", "other/out.onnx", Embed, true, "write "},
		{"a name that no location may have", "a\\b.onnx", Copy, false, "is not under"},
		{"an unknown mode", "out.onnx", "zip", false, "weights mode"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Save(t.Context(), m, dir+"/"+tt.path, tt.mode, tt.force)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Errorf("the folder has changed: -want +got\n%s", diff)
			}
			var w *atomicfile.Error
			if isTarget := !strings.Contains(tt.want, "mode") && !strings.Contains(tt.want, "under"); isTarget && !errors.As(err, &w) {
				t.Errorf("%T is not a write error", err)
			}
		})
	}
}

// contents returns the contents of the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		out[e.Name()] = string(b)
	}
	return out
}

// TestReplaceKeepsOwnData replaces a model whose data file has the name that the new data file would get.
func TestReplaceKeepsOwnData(t *testing.T) {
	weights := strings.Repeat("w", 1024)
	dir := folder(t, map[string]string{
		"in.onnx":       string(cat(head, sub(7, neg, inX, outY, sub(5, str(8, "w"), num(1, 256), num(2, 1), entry("location", "out.onnx.data"), num(14, 1))))),
		"out.onnx.data": weights,
	})
	m, err := Load(filepath.Join(dir, "in.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	saved, err := Save(t.Context(), m, filepath.Join(dir, "out.onnx"), Copy, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir); got["out.onnx.data"] != weights || filepath.Base(saved.Data) != "out.onnx.1.data" || got["out.onnx.1.data"] != weights {
		t.Errorf("saved %+v in a folder of %d files", saved, len(got))
	}
}

// TestReplace replaces a model with a data file in every mode. Data that only the old file named is removed. Data that
// another file names, or that no file names, stays. Repeating the save gives the same bytes.
func TestReplace(t *testing.T) {
	model := func(number string) *Model {
		return parse(t, `ir 8 opset 17 graph g { in x: float32[512] const w = float32[512] {`+strings.Repeat(number+" ", 512)+`} y: float32[512] = Add(x, w) out y }`)
	}
	a, b := resave(t, model("1")), resave(t, model("2"))
	for _, tt := range []struct {
		name    string
		before  func(t *testing.T, dir, out string)
		m       *Model
		mode    Weights
		removed string
		files   string // afterwards
	}{
		{"copy by copy of other weights", nil, b, Copy, "out.onnx.data", "out.onnx out.onnx.1.data"},
		{"copy by copy of the same weights", nil, a, Copy, "", "out.onnx out.onnx.data"},
		{"copy by embed", nil, b, Embed, "out.onnx.data", "out.onnx"},
		{"data that another file names", func(t *testing.T, dir, out string) {
			m, err := Load(out)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if _, err := Save(t.Context(), m, filepath.Join(dir, "ref"), Ref, false); err != nil {
				t.Fatal(err)
			}
		}, b, Copy, "", "out.onnx out.onnx.1.data out.onnx.data ref"},
		{"data that nobody names", func(t *testing.T, dir, out string) {
			if err := os.WriteFile(out+".7.data", []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, b, Embed, "out.onnx.data", "out.onnx out.onnx.7.data"},
		{"not a model", func(t *testing.T, dir, out string) {
			if err := os.WriteFile(out, []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, b, Embed, "", "out.onnx out.onnx.data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out.onnx")
			if _, err := Save(t.Context(), a, out, Copy, false); err != nil {
				t.Fatal(err)
			}
			if tt.before != nil {
				tt.before(t, dir, out)
			}
			saved, err := Save(t.Context(), tt.m, out, tt.mode, true)
			if err != nil {
				t.Fatal(err)
			}
			var removed []string
			for _, path := range saved.Removed {
				removed = append(removed, filepath.Base(path))
			}
			first := contents(t, dir)
			if got := strings.Join(removed, " "); got != tt.removed {
				t.Errorf("%q removed, want %q", got, tt.removed)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(first)), " "); got != tt.files {
				t.Errorf("files %s, want %s", got, tt.files)
			}
			again, err := Load(out)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if diff := cmp.Diff(weightSums(t, tt.m), weightSums(t, again)); diff != "" {
				t.Error(diff)
			}
			for range 2 {
				saved, err := Save(t.Context(), tt.m, out, tt.mode, true)
				if err != nil || len(saved.Removed) > 0 {
					t.Fatalf("%+v, %v", saved, err)
				}
				if diff := cmp.Diff(first, contents(t, dir)); diff != "" {
					t.Errorf("the same save again gives other files: %s", diff)
				}
			}
		})
	}
}

// TestDeterministic saves the same model three times.
func TestDeterministic(t *testing.T) {
	m, err := Load("../models/testdata/optimum-1-merged.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []Weights{Copy, Embed} {
		var first map[string]string
		for range 3 {
			dir := t.TempDir()
			if _, err := Save(t.Context(), m, filepath.Join(dir, "out.onnx"), w, false); err != nil {
				t.Fatal(err)
			}
			got := contents(t, dir)
			if first == nil {
				first = got
			}
			if !cmp.Equal(first, got) {
				t.Errorf("%s differs from run to run", w)
			}
		}
	}
}

// TestSourceChanges replaces, shortens or removes the file with the weights after the model was loaded.
func TestSourceChanges(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(path string) error
		want string
	}{
		{"replaced", func(path string) error {
			if err := os.WriteFile(path+".new", make([]byte, 4096), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, "was replaced after the model was loaded"},
		{"shortened", func(path string) error { return os.Truncate(path, 100) }, "became shorter after the model was loaded"},
		{"removed", os.Remove, "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, initializer(num(1, 512), num(2, 1), sub(9, make([]byte, 2048))))
			m, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.do(path); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, w := range []Weights{Embed, Copy} {
				_, err := Save(t.Context(), m, filepath.Join(dir, "out.onnx"), w, false)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got %v, want %q", w, err, tt.want)
				}
				if left := contents(t, dir); len(left) != 0 {
					t.Errorf("%s: %d files are left", w, len(left))
				}
			}
		})
	}
}

// countdown is a context that ends after a number of Err calls, so that a test can stop Save at each check.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestSaveInterrupted cancels a save at each of its checks, including those between two stretches of one tensor. The old
// model must stay unchanged, and no other file may remain.
func TestSaveInterrupted(t *testing.T) {
	path := write(t, initializer(num(1, 2*stretch/4+512), num(2, 1), sub(9, make([]byte, 2*stretch+2048))))
	m, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for w, looks := range map[Weights]int{Ref: 1, Copy: 4, Embed: 4} { // three stretches, and once before the names are set
		dir := t.TempDir()
		out := filepath.Join(dir, "out.onnx")
		for name, text := range map[string]string{out: "old", out + ".data": "old weights"} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := contents(t, dir)
		into := out
		if w == Ref {
			into = filepath.Join(filepath.Dir(path), "out.onnx")
		}
		for n := range looks {
			if _, err := Save(&countdown{t.Context(), n}, m, into, w, true); !errors.Is(err, context.Canceled) || hint.Of(err) != "" {
				t.Errorf("%s, cancelled at check %d: %v (%s)", w, n, err, hint.Of(err))
			}
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Errorf("%s, cancelled at check %d, left: %s", w, n, diff)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*out*")); w == Ref && len(left) > 0 {
				t.Errorf("%s, cancelled at check %d, left %v", w, n, left)
			}
		}
		if _, err := Save(&countdown{t.Context(), looks}, m, into, w, true); err != nil {
			t.Errorf("%s: %v", w, err)
		}
	}
}
