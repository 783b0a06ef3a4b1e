package vector

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

var (
	third     = float32(1.0 / 3)
	reference = []float32{0, 1, -2.5, 65504, 1.0 / (1 << 24), third}
	halves    = []float32{0, 1, -2.5, 65504, 1.0 / (1 << 24), 0.33325195} // the same through float16
)

func scaled(v []float32, f float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range []float64{0, 1, -2.5, 65504, 1.0 / (1 << 24), 1.0 / 3} {
		out[i] = float32(x * f)
	}
	return out
}

// The files in testdata were written by the reference implementations (testdata/make.py).
func TestReadReference(t *testing.T) {
	for _, c := range []struct {
		path string
		want Vector
	}{
		{"numpy-f4.npy", Vector{Data: reference}},
		{"numpy-f8.npy", Vector{Data: reference}},
		{"numpy-f2.npy", Vector{Data: halves}},
		{"numpy-1d.npy", Vector{Data: reference}},
		{"numpy-11d.npy", Vector{Data: reference}},
		{"numpy-v2.npy", Vector{Data: reference}},
		{"safetensors-one.safetensors", Vector{"memory", reference, map[string]string{"text": "the Great Barrier Reef <é>", "layer": "7"}}},
		{"safetensors-one.safetensors#memory", Vector{"memory", reference, map[string]string{"text": "the Great Barrier Reef <é>", "layer": "7"}}},
		{"safetensors-many.safetensors#a", Vector{"a", reference, nil}},
		{"safetensors-many.safetensors#b", Vector{"b", reference, nil}},
		{"safetensors-many.safetensors#c", Vector{"c", halves, nil}},
		{"gguf-two.gguf#direction.1", Vector{"direction.1", scaled(reference, 1.0/7), map[string]string{"model": "gpt2", "layer": "1"}}},
		{"gguf-two.gguf#direction.7", Vector{"direction.7", reference, map[string]string{"model": "gpt2", "layer": "7"}}},
	} {
		got, err := Read("testdata/" + c.path)
		if err != nil {
			t.Error(err)
			continue
		}
		// 1 ulp: for gguf, NumPy scaled before it rounded, in another order of operations.
		if diff := cmp.Diff(&c.want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-7, 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.path, diff)
		}
	}
}

func TestReadAll(t *testing.T) {
	got, err := ReadAll("testdata/gguf-two.gguf")
	if err != nil {
		t.Fatal(err)
	}
	var layers []string
	for _, v := range got {
		layers = append(layers, v.Name+" at "+v.Meta[MetaLayer])
	}
	if diff := cmp.Diff([]string{"direction.1 at 1", "direction.7 at 7"}, layers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := ReadAll("testdata/safetensors-many.safetensors"); err == nil || !strings.Contains(err.Error(), `tensor "ids": `) {
		t.Errorf("a file with tensors that are not vectors: error %v, want the first of them", err)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"empty.npy": "", "empty.safetensors": "", "empty.gguf": "", "text.npy": "0.5 1.5 2.5 3.5\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.npy"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, want, hint string
	}{
		{"testdata/safetensors-many.safetensors", "5 tensors, want one", `choose one: "testdata/safetensors-many.safetensors#`},
		{"testdata/safetensors-many.safetensors#w", `tensor "w": shape [2 3], want [d]`, ""},
		{"testdata/safetensors-many.safetensors#ids", `tensor "ids": dtype int64, want float32`, ""},
		{"testdata/safetensors-many.safetensors#z", `no tensor "z"`, "choose one"},
		{"testdata/gguf-two.gguf", "2 tensors, want one", `"testdata/gguf-two.gguf#direction.7"`},
		{"testdata/numpy-f4.npy#a", `no tensor "a"`, ""},
		{"v.pt", ".pt is a pickle, which may run code", "weights_only"},
		{"v.bin", "pickle", "weights_only"},
		{"v.PKL", "pickle", "weights_only"},
		{"v.npz", `extension ".npz", want .npy, .safetensors, .gguf`, ""},
		{"v", "no extension", ""},
		{dir + "/absent.npy", "no such file", ""},
		{dir + "/folder.npy", "want a regular file, got a folder", ""},
		{dir + "/empty.npy", `want a file that begins with "\x93NUMPY", got ""`, ""},
		{dir + "/text.npy", `got "0.5 1."`, ""},
		{dir + "/empty.safetensors", "0 bytes, want a header", ""},
		{dir + "/empty.gguf", "want 4 bytes at 0 of 0", ""},
	} {
		v, err := Read(c.path)
		if err == nil {
			t.Errorf("%s: no error, got %v", c.path, v)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "read vector ") || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: error %q, want the path and %q in it", c.path, err, c.want)
		}
		if advice := hint.Of(err); !strings.Contains(advice, c.hint) || c.hint == "" && advice != "" {
			t.Errorf("%s: hint %q, want %q in it", c.path, advice, c.hint)
		}
	}
}

func TestWriteIsExact(t *testing.T) {
	dir := t.TempDir()
	v := &Vector{Data: []float32{1, -2}, Meta: map[string]string{MetaText: "a <b>", MetaLayer: "3", MetaModel: "gpt2"}}
	const numbers = "\x00\x00\x80\x3f\x00\x00\x00\xc0"
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	for _, c := range []struct{ name, want string }{
		{"v.npy", "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }" + strings.Repeat(" ", 60) + "\n" + numbers},
		{"v.safetensors", "\x78\x00\x00\x00\x00\x00\x00\x00" +
			`{"__metadata__":{"layer":"3","model":"gpt2","text":"a <b>"},"memory":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}` + "  " + numbers},
		{"v.gguf", "GGUF\x03\x00\x00\x00" + "\x01" + zeros(7) + "\x04" + zeros(7) +
			"\x14" + zeros(7) + "general.architecture" + "\x08\x00\x00\x00" + "\x0d" + zeros(7) + "controlvector" +
			"\x18" + zeros(7) + "controlvector.model_hint" + "\x08\x00\x00\x00" + "\x04" + zeros(7) + "gpt2" +
			"\x19" + zeros(7) + "controlvector.layer_count" + "\x04\x00\x00\x00" + "\x01\x00\x00\x00" +
			"\x10" + zeros(7) + "onnx_inject.text" + "\x08\x00\x00\x00" + "\x05" + zeros(7) + "a <b>" +
			"\x0b" + zeros(7) + "direction.3" + "\x01\x00\x00\x00" + "\x02" + zeros(7) + "\x00\x00\x00\x00" + zeros(8) +
			zeros(6) + numbers + zeros(24)},
	} {
		path := filepath.Join(dir, c.name)
		if err := Write(path, v, false); err != nil {
			t.Error(err)
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Write gives the same bytes as numpy.save.
func TestWriteIsNumpy(t *testing.T) {
	want, err := os.ReadFile("testdata/numpy-f4.npy")
	if err != nil {
		t.Fatal(err)
	}
	got, err := encodeNPY([]*Vector{{Data: reference}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-numpy +got):\n%s", diff)
	}
}

func TestRoundTrip(t *testing.T) {
	number := rapid.Float32().Filter(func(x float32) bool { return finite([]float32{x}) == nil })
	rapid.Check(t, func(t *rapid.T) {
		v := &Vector{
			Data: rapid.SliceOfN(number, 1, 200).Draw(t, "data"),
			Meta: rapid.MapOf(rapid.SampledFrom([]string{MetaText, MetaEncoding, MetaConvention, MetaModel, "x.y_2"}), rapid.StringN(1, 30, -1)).Draw(t, "meta"),
		}
		if rapid.Bool().Draw(t, "has layer") {
			v.Meta[MetaLayer] = rapid.SampledFrom([]string{"1", "7", "47"}).Draw(t, "layer")
		}
		name := rapid.StringN(1, 12, -1).Filter(func(s string) bool { return s != safetensorsMeta }).Draw(t, "name")
		for _, f := range formats {
			want := *v
			switch f.ext {
			case ".npy":
				want.Meta = nil
			case ".safetensors":
				want.Name = name
			case ".gguf":
				want.Name = "direction.1"
				if s, ok := v.Meta[MetaLayer]; ok {
					want.Name = "direction." + s
				}
			}
			in := *v
			in.Name = name
			data, err := f.encode([]*Vector{&in})
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(f, data)
			if err != nil {
				t.Fatalf("%s: %v", f.ext, err)
			}
			if diff := cmp.Diff([]*Vector{&want}, got, cmpopts.EquateEmpty(), cmp.Comparer(sameBits)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", f.ext, diff)
			}
			// A truncated file is refused.
			for _, n := range []int{rapid.IntRange(0, len(data)-1).Draw(t, "cut"), len(data) - 1} {
				pad := f.ext == ".gguf" && len(bytes.TrimRight(data[n:], "\x00")) == 0 // padding may be missing as a whole
				if _, err := decode(f, data[:n]); err == nil && !pad {
					t.Fatalf("%s: read although cut to %d of %d bytes", f.ext, n, len(data))
				}
			}
			if _, err := decode(f, append(data, 0)); err == nil {
				t.Fatalf("%s: read with a byte after the end", f.ext)
			}
		}
	})
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

// decode reads all vectors of a file held in memory.
func decode(f format, data []byte) ([]*Vector, error) {
	r := bytes.NewReader(data)
	c, err := f.read(r, int64(len(data)))
	if err != nil {
		return nil, err
	}
	var out []*Vector
	for _, t := range c.tensors {
		v, err := c.vector(r, t)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func TestWriteRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	one := []float32{1}
	for _, c := range []struct {
		name string
		v    Vector
		want string
	}{
		{"v.npy", Vector{}, "0 elements"},
		{"v.npy", Vector{Data: make([]float32, MaxWidth+1)}, "1048577 elements"},
		{"v.npy", Vector{Data: []float32{0, 1, nan}}, "element 2 is NaN"},
		{"v.gguf", Vector{Data: []float32{inf}}, "element 0 is -Inf"},
		{"v.pt", Vector{Data: one}, "pickle"},
		{"v.safetensors#a", Vector{Data: one}, `extension ".safetensors#a"`},
		{"v.safetensors", Vector{Data: one, Name: "__metadata__"}, `cannot be called "__metadata__"`},
		{"v.safetensors", Vector{Data: one, Name: "\xff"}, "not valid UTF-8"},
		{"v.safetensors", Vector{Data: one, Meta: map[string]string{"text": "\xff"}}, "not valid UTF-8"},
		{"v.gguf", Vector{Data: one, Meta: map[string]string{"my text": "x"}}, `fact "my text"`},
		{"v.gguf", Vector{Data: one, Meta: map[string]string{"a..b": "x"}}, `fact "a..b"`},
		{"v.gguf", Vector{Data: one, Meta: map[string]string{"layer": "0"}}, "cannot steer layer 0"},
		{"v.gguf", Vector{Data: one, Meta: map[string]string{"layer": "-1"}}, `layer "-1"`},
		{"v.gguf", Vector{Data: one, Meta: map[string]string{"layer": "07"}}, `layer "07"`},
	} {
		dir := t.TempDir()
		err := Write(filepath.Join(dir, c.name), &c.v, true)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "write vector ") {
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
		checkFolder(t, dir)
	}
}

// checkFolder checks that a folder holds exactly these files, and especially no temporary file.
func checkFolder(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWriteNeverReplacesUnforced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "v.npy")
	old, young := &Vector{Data: []float32{1}}, &Vector{Data: []float32{2}}
	if err := Write(path, old, false); err != nil {
		t.Fatal(err)
	}
	err := Write(path, young, false)
	if !errors.Is(err, fs.ErrExist) || hint.Of(err) == "" {
		t.Errorf("error %v with hint %q, want fs.ErrExist and a hint", err, hint.Of(err))
	}
	if got, err := Read(path); err != nil || got.Data[0] != 1 {
		t.Errorf("the old file is %v, %v", got, err)
	}
	if err := Write(path, young, true); err != nil {
		t.Error(err)
	}
	if got, err := Read(path); err != nil || got.Data[0] != 2 {
		t.Errorf("after force the file is %v, %v", got, err)
	}
	checkFolder(t, dir, "v.npy")

	// A path that is not a regular file is never replaced, even with force.
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "w.npy")); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		if err := Write(filepath.Join(dir, "w.npy"), young, force); err == nil || !strings.Contains(err.Error(), "is a symbolic link") || hint.Of(err) != "" {
			t.Errorf("over a dangling link: error %v with hint %q", err, hint.Of(err))
		}
	}
	if err := Write(filepath.Join(dir, "absent", "v.npy"), young, false); !errors.Is(err, fs.ErrNotExist) || hint.Of(err) != "" {
		t.Errorf("in a missing folder: error %v with hint %q, want fs.ErrNotExist", err, hint.Of(err))
	}
	checkFolder(t, dir, "v.npy", "w.npy")
}

func TestSplitPath(t *testing.T) {
	for path, want := range map[string][2]string{
		"v.npy":                    {"v.npy", ""},
		"v.safetensors#a":          {"v.safetensors", "a"},
		"v.safetensors#a#b":        {"v.safetensors", "a#b"},
		"dir#1/v.gguf#direction.2": {"dir#1/v.gguf", "direction.2"},
		"a#b.npy":                  {"a#b.npy", ""},
		"v.SafeTensors#a":          {"v.SafeTensors", "a"},
		"v#a":                      {"v#a", ""},
	} {
		if file, name := splitPath(path); file != want[0] || name != want[1] {
			t.Errorf("splitPath(%q) = %q, %q, want %q", path, file, name, want)
		}
	}
}

// fuzz checks the guarantees of each reader for arbitrary bytes: it returns, its vectors are finite and fit in the file, and
// writing and reading them again preserves them.
func fuzz(f *testing.F, form format) {
	seeds, err := filepath.Glob("testdata/*" + form.ext)
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, path := range seeds {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, h := range hostile {
		if h.ext == form.ext {
			f.Add([]byte(h.data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		vectors, err := decode(form, data)
		if err != nil {
			return
		}
		for _, v := range vectors {
			if err := finite(v.Data); err != nil || len(v.Data) < 1 || 2*len(v.Data) > len(data) {
				t.Fatalf("%d elements of %d bytes, %v", len(v.Data), len(data), err)
			}
			again, err := form.encode([]*Vector{v})
			if err != nil {
				continue // facts of other programs may have names that Write refuses
			}
			back, err := decode(form, again)
			if err != nil {
				t.Fatal(err)
			}
			if len(back) != 1 || !cmp.Equal(v.Data, back[0].Data, cmp.Comparer(sameBits)) {
				t.Fatalf("wrote %v, read %v", v, back)
			}
		}
	})
}

func FuzzNPY(f *testing.F)         { fuzz(f, formats[0]) }
func FuzzSafetensors(f *testing.F) { fuzz(f, formats[1]) }
func FuzzGGUF(f *testing.F)        { fuzz(f, formats[2]) }

// A file that shrinks after its header was read causes an error.
func TestShrinkingFile(t *testing.T) {
	data, err := encodeSafetensors([]*Vector{{Data: reference}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := readSafetensors(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.vector(bytes.NewReader(data[:len(data)-4]), c.tensors[0]); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want io.EOF", err)
	}
}
