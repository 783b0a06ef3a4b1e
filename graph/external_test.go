package graph

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// entry is one key-value pair of external data.
func entry(key, value string) []byte { return sub(13, str(1, key), str(2, value)) }

// external makes a model with one external tensor w of 4 floats.
func external(records ...[]byte) []byte {
	return initializer(num(1, 4), num(2, 1), cat(records...), num(14, 1))
}

// folder fills a new folder. The key "name" is a file with the given text, "name ->" a symbolic link to it, and "name/" a
// folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, strings.TrimSuffix(name, " ->"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, " ->") {
			err = os.Symlink(filepath.FromSlash(text), path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// refusedData is external data that is refused, with part of the error.
type refusedData struct {
	name    string
	records []byte
	want    string
}

// TestB01Locations covers locations that leave the model's folder. Every file exists that a careless reader would open.
func TestB01Locations(t *testing.T) {
	refuseData(t, []refusedData{
		{"parent", entry("location", "../x"), `location "../x" is not under`},
		{"parent in the middle", entry("location", "a/../../x"), "is not under"},
		{"absolute", entry("location", "/etc/passwd"), "is not under"},
		{"drive", entry("location", `C:\x`), "is not under"},
		{"drive with slash", entry("location", "C:/x"), "is not under"},
		{"backslashes", entry("location", `a\..\..\x`), "is not under"},
		{"empty", entry("location", ""), "is not under"},
		{"dot", entry("location", "."), "is not under"},
		{"device", entry("location", "/dev/zero"), "is not under"},
		{"process", entry("location", "/proc/self/environ"), "is not under"},
		{"memory of the host", entry("location", "*/_ORT_MEM_ADDR_/*"), "is not under"},
		{"nul", entry("location", "w.bin\x00"), "is not under"},
		{"folder", entry("location", "sub"), "not a regular file"},
		{"missing file", entry("location", "none.bin"), "none.bin is missing"},
		{"no location", entry("offset", "0"), "is not under"},
	})
}

// TestB05Ranges covers offsets, lengths and keys that are invalid.
func TestB05Ranges(t *testing.T) {
	refuseData(t, []refusedData{
		{"location twice", cat(entry("location", "w.bin"), entry("location", "w.bin")), `key "location" appears twice`},
		{"unknown key", cat(entry("location", "w.bin"), entry("foo", "1")), `unknown key "foo"`},
		{"offset past the end", cat(entry("location", "w.bin"), entry("offset", "32")), "past the end"},
		{"end past the end", cat(entry("location", "w.bin"), entry("offset", "20")), "offset 20 + length 16 is past the end of the file (32 bytes)"},
		{"sum of 2^63", cat(entry("location", "w.bin"), entry("offset", "9223372036854775792"), entry("length", "16")), "past the end"},
		{"negative", cat(entry("location", "w.bin"), entry("offset", "-1")), `offset "-1" is not a decimal number`},
		{"hexadecimal", cat(entry("location", "w.bin"), entry("offset", "0x10")), "not a decimal number"},
		{"exponent", cat(entry("location", "w.bin"), entry("length", "1e3")), "not a decimal number"},
		{"space", cat(entry("location", "w.bin"), entry("offset", " 5")), "not a decimal number"},
		{"40 digits", cat(entry("location", "w.bin"), entry("offset", strings.Repeat("1", 40))), "not a decimal number"},
		{"empty number", cat(entry("location", "w.bin"), entry("length", "")), "not a decimal number"},
		{"length too short", cat(entry("location", "w.bin"), entry("length", "12")), "length 12, but the shape [4] of float32 takes 16 bytes"},
		{"length too long", cat(entry("location", "w.bin"), entry("length", "20")), "length 20, but"},
		{"values as well", cat(entry("location", "w.bin"), sub(9, make([]byte, 16))), "both external data and raw_data"},
		{"broken entry", sub(13, []byte{0x0a, 0x7f}), "broken"},
	})
	t.Run("location of zero with entries", func(t *testing.T) {
		_, err := Load(write(t, initializer(num(1, 4), num(2, 1), entry("location", "w.bin"), num(14, 0))))
		if err == nil || !strings.Contains(err.Error(), "data_location is not EXTERNAL") {
			t.Errorf("got %v", err)
		}
	})
}

// refuseData loads models with such data in a folder in which the files exist.
func refuseData(t *testing.T, tests []refusedData) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"x": strings.Repeat("x", 32), "m/w.bin": strings.Repeat("w", 32), "m/sub/x": "x"})
			path := filepath.Join(dir, "m", "model.onnx")
			if err := os.WriteFile(path, external(tt.records), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestB02Layouts reads weights through every layout of files that models use.
func TestB02Layouts(t *testing.T) {
	const (
		ones = "1111111111111111"
		mark = ".huggingface-shared-blobs"
	)
	at := func(location, offset string) []byte {
		if offset == "" {
			return external(entry("location", location))
		}
		return external(entry("location", location), entry("offset", offset), entry("length", "16"))
	}
	tests := []struct {
		name  string
		files map[string]string
		model string // path of the model in the folder
		data  []byte
		want  string // the tensor's bytes, or "!" and part of the error
	}{
		{"same folder", map[string]string{"w.bin": ones}, "m.onnx", at("w.bin", ""), ones},
		{"below", map[string]string{"sub/w.bin": ones}, "m.onnx", at("sub/w.bin", ""), ones},
		{"up and down again", map[string]string{"sub/x": "", "w.bin": ones}, "m.onnx", at("sub/../w.bin", ""), ones},
		{"odd offset", map[string]string{"w.bin": "xyz" + ones + "!"}, "m.onnx", at("w.bin", "3"), ones},
		{"a checksum", map[string]string{"w.bin": ones}, "m.onnx", external(entry("location", "w.bin"), entry("checksum", "747417F2206148A3118D02F3ADF20B5E4139BAAC")), ones},
		{"an empty checksum", map[string]string{"w.bin": ones}, "m.onnx", external(entry("location", "w.bin"), entry("checksum", "")), ones},
		{"a wrong checksum", map[string]string{"w.bin": ones}, "m.onnx", external(entry("location", "w.bin"), entry("checksum", strings.Repeat("0", 40))), "!want the checksum (SHA-1) 0000"},
		{"a checksum that is none", map[string]string{"w.bin": ones}, "m.onnx", external(entry("location", "w.bin"), entry("checksum", strings.Repeat("0", 64))), "!want a SHA-1 of 40 hexadecimal digits"},
		{"two checksums", map[string]string{"w.bin": ones}, "m.onnx", cat(head, sub(7, neg, inX, outY,
			sub(5, str(8, "v"), num(1, 4), num(2, 1), entry("location", "w.bin"), entry("checksum", "747417f2206148a3118d02f3adf20b5e4139baac"), num(14, 1)),
			sub(5, str(8, "w"), num(1, 4), num(2, 1), entry("location", "w.bin"), entry("checksum", strings.Repeat("1", 40)), num(14, 1)))), "!of one file"},
		{"link inside", map[string]string{"w.bin ->": "real/w", "real/w": ones}, "m.onnx", at("w.bin", ""), ones},
		{"link to a folder inside", map[string]string{"sub ->": "real", "real/w.bin": ones}, "m.onnx", at("sub/w.bin", ""), ones},
		{"link outside", map[string]string{"m/w.bin ->": "../secret", "secret": ones}, "m/m.onnx", at("w.bin", ""), "!is outside"},
		{"folder link outside", map[string]string{"m/sub ->": "../other", "other/w.bin": ones}, "m/m.onnx", at("sub/w.bin", ""), "!is outside"},
		{"dangling link", map[string]string{"w.bin ->": "nowhere"}, "m.onnx", at("w.bin", ""), "!is missing"},
		{"link loop", map[string]string{"w.bin ->": "w.bin"}, "m.onnx", at("w.bin", ""), "!w.bin"},
		{"hub cache", map[string]string{"snapshots/x/m.onnx ->": "../../blobs/aaa", "snapshots/x/w.bin ->": "../../blobs/bbb", "blobs/bbb": ones}, "snapshots/x/m.onnx", at("w.bin", ""), ones},
		{"hub cache, data elsewhere", map[string]string{"snapshots/x/m.onnx ->": "../../blobs/aaa", "snapshots/x/w.bin ->": "../../other", "blobs/y": "", "other": ones}, "snapshots/x/m.onnx", at("w.bin", ""), "!is outside"},
		{"hub cache with a shared store", map[string]string{"hub/r/s/x/m.onnx ->": "../../blobs/a", "hub/r/blobs/a ->": "../../blobs/aa/a", "hub/blobs/aa/y": "", "hub/blobs/" + mark: "1\n",
			"hub/r/s/x/w.bin ->": "../../blobs/b", "hub/r/blobs/b ->": "../../blobs/bb/b", "hub/blobs/bb/b": ones}, "hub/r/s/x/m.onnx", at("w.bin", ""), ones},
		{"hub cache, data alone in the shared store", map[string]string{"hub/r/s/x/m.onnx ->": "../../blobs/a", "hub/r/blobs/y": "", "hub/blobs/" + mark: "1\n",
			"hub/r/s/x/w.bin ->": "../../blobs/b", "hub/r/blobs/b ->": "../../blobs/bb/b", "hub/blobs/bb/b": ones}, "hub/r/s/x/m.onnx", at("w.bin", ""), ones},
		{"a store without the mark", map[string]string{"hub/r/s/x/m.onnx ->": "../../../blobs/aa/a", "hub/blobs/aa/y": "", "hub/r/s/x/w.bin ->": "../../../blobs/bb/b",
			"hub/blobs/bb/b": ones}, "hub/r/s/x/m.onnx", at("w.bin", ""), "!is outside"},
		{"a shared store, data elsewhere", map[string]string{"hub/r/s/x/m.onnx ->": "../../../blobs/aa/a", "hub/blobs/aa/y": "", "hub/blobs/" + mark: "1\n",
			"hub/r/s/x/w.bin ->": "../../../other", "hub/other": ones}, "hub/r/s/x/m.onnx", at("w.bin", ""), "!is outside"},
		{"the model's own file", map[string]string{}, "m.onnx", at("m.onnx", "1"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, tt.files)
			path := filepath.Join(dir, filepath.FromSlash(tt.model))
			if err := os.WriteFile(path, tt.data, 0o644); err != nil { // through the link, if path is one
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = string(tt.data[1:17])
			}
			m, err := Load(path)
			if text, bad := strings.CutPrefix(want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("got %v, want %q", err, text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := m.Graph.Lookup("w").Initializer()
			x, err := c.Load()
			if err != nil {
				t.Fatal(err)
			}
			if string(x.Data) != want {
				t.Errorf("read %q, want %q", x.Data, want)
			}
			if len(m.Files()) != 1 || c.ext == "" {
				t.Errorf("files %v, location %q", m.Files(), c.ext)
			}
			if _, ok := c.Span(); !ok {
				t.Error("the tensor has no place on disk")
			}
			again := resave(t, m) // embedded now
			if y, err := again.Graph.Lookup("w").Initializer().Load(); err != nil || string(y.Data) != want {
				t.Errorf("after embedding %v, %v", y, err)
			}
		})
	}
}

func TestB04HardLinkWarns(t *testing.T) {
	dir := folder(t, map[string]string{"w": strings.Repeat("1", 16), "m.onnx": string(external(entry("location", "w.bin")))})
	if err := os.Link(filepath.Join(dir, "w"), filepath.Join(dir, "w.bin")); err != nil {
		t.Fatal(err)
	}
	m, err := Load(filepath.Join(dir, "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if w := m.Warnings(); len(w) != 1 || !strings.Contains(w[0], "hard link") {
		t.Errorf("warnings %q", w)
	}
}

// TestB06Ranges reads tied, adjacent and overlapping ranges.
func TestB06Ranges(t *testing.T) {
	tensor := func(name, offset string) []byte {
		return sub(5, str(8, name), num(1, 4), num(2, 1), entry("location", "w.bin"), entry("offset", offset), entry("length", "16"), num(14, 1))
	}
	tests := []struct {
		name    string
		offsets []string
		ok      bool
	}{
		{"adjacent", []string{"0", "16"}, true},
		{"gap, out of order", []string{"40", "0"}, true},
		{"tied", []string{"8", "8", "24"}, true},
		{"overlap of one byte", []string{"0", "15"}, false},
		{"overlap of all but one, others between", []string{"40", "1", "16", "0"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := cat(neg, inX, outY)
			for i, o := range tt.offsets {
				g = cat(g, tensor(string(rune('a'+i)), o))
			}
			dir := folder(t, map[string]string{"w.bin": strings.Repeat("w", 64), "m.onnx": string(cat(head, sub(7, g)))})
			m, err := Load(filepath.Join(dir, "m.onnx"))
			if tt.ok && err != nil || !tt.ok && (err == nil || !strings.Contains(err.Error(), "share bytes")) {
				t.Fatalf("got %v, want success: %v", err, tt.ok)
			}
			if tt.name == "tied" {
				a, b, c := m.Graph.Lookup("a").Initializer(), m.Graph.Lookup("b").Initializer(), m.Graph.Lookup("c").Initializer()
				if *a.span != *b.span || *a.span == *c.span {
					t.Error("tied tensors differ, or other tensors are equal")
				}
			}
		})
	}
}

// TestB08Beyond4GB reads a tensor after the first 4 GB of a sparse file.
func TestB08Beyond4GB(t *testing.T) {
	const offset = 5 << 30
	dir := folder(t, map[string]string{"m.onnx": string(external(entry("location", "w.bin"), entry("offset", "5368709120"), entry("length", "16")))})
	f, err := os.Create(filepath.Join(dir, "w.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(float32Bytes(1, 2, 3, 4), offset); err != nil {
		t.Fatal(err)
	}
	m, err := Load(filepath.Join(dir, "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := m.Graph.Lookup("w").Initializer().Rows(2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := x.Float32s(); len(got) != 2 || got[0] != 3 || got[1] != 4 {
		t.Errorf("read %v, want [3 4]", got)
	}
}

// TestB02SwappedLink replaces a data file 10,000 times by a link into or out of the folder while models are loaded. Every read must
// stay inside the folder.
func TestB02SwappedLink(t *testing.T) {
	dir := folder(t, map[string]string{"secret": strings.Repeat("S", 16), "m/good": strings.Repeat("g", 16), "m/m.onnx": string(external(entry("location", "w.bin")))})
	name := filepath.Join(dir, "m", "w.bin")
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range 10_000 {
			tmp := name + ".tmp"
			_ = os.Remove(tmp)
			_ = os.Symlink([]string{"good", "../secret"}[i%2], tmp)
			_ = os.Rename(tmp, name)
		}
	}()
	loaded := 0
	for swapping := true; swapping; {
		select {
		case <-done:
			swapping = false
		default:
		}
		m, err := Load(filepath.Join(dir, "m", "m.onnx"))
		if err != nil {
			continue
		}
		loaded++
		x, err := m.Graph.Lookup("w").Initializer().Load()
		if err != nil || string(x.Data) != strings.Repeat("g", 16) {
			t.Fatalf("read %q, %v", x.Data, err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if loaded == 0 {
		t.Error("no load succeeded")
	}
}

// TestTypedFields reads each value field of TensorProto for each element type that it may hold, small and large.
func TestTypedFields(t *testing.T) {
	packed := func(n protowire.Number, vs ...uint64) []byte {
		var b []byte
		for _, v := range vs {
			b = protowire.AppendVarint(b, v)
		}
		return sub(n, b)
	}
	loose := func(n protowire.Number, vs ...uint64) []byte {
		var b []byte
		for _, v := range vs {
			b = varintField(b, n, v)
		}
		return b
	}
	minus := func(v int64) uint64 { return uint64(v) }
	tests := []struct {
		name  string
		dtype DType
		field []byte
		want  []int64 // of integers and bool
		float []float32
	}{
		{"float_data", Float32, sub(4, float32Bytes(1, -2.5)), nil, []float32{1, -2.5}},
		{"float_data, not packed", Float32, cat(protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), 0x3f800000), protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), 0xc0200000)), nil, []float32{1, -2.5}},
		{"double_data", Float64, sub(10, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 4, 0xc0}), nil, []float32{1, -2.5}},
		{"float16 in int32_data", Float16, packed(5, 0x3c00, 0xc100), nil, []float32{1, -2.5}},
		{"bfloat16 in int32_data", BFloat16, packed(5, 0x3f80, 0xc020), nil, []float32{1, -2.5}},
		{"int32", Int32, packed(5, 7, minus(-3)), []int64{7, -3}, nil},
		{"int32, not packed", Int32, loose(5, 7, minus(-3)), []int64{7, -3}, nil},
		{"int16", Int16, packed(5, 7, minus(-3)), []int64{7, -3}, nil},
		{"int8", Int8, packed(5, 7, minus(-3)), []int64{7, -3}, nil},
		{"uint16", Uint16, packed(5, 7, 65533), []int64{7, 65533}, nil},
		{"uint8", Uint8, packed(5, 7, 253), []int64{7, 253}, nil},
		{"bool", Bool, packed(5, 1, 0), []int64{1, 0}, nil},
		{"int64", Int64, packed(7, 7, minus(-3)), []int64{7, -3}, nil},
		{"int64, not packed", Int64, loose(7, 7, minus(-3)), []int64{7, -3}, nil},
		{"uint64", Uint64, packed(11, 7, 1<<62), []int64{7, 1 << 62}, nil},
		{"uint32", Uint32, packed(11, 7, 1<<31), []int64{7, 1 << 31}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Load(write(t, initializer(num(1, 2), num(2, int64(tt.dtype)), tt.field)))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, m, tt.want, tt.float)
			compare(t, saveAndLoad(t, m), tt.want, tt.float)
		})
		if strings.Contains(tt.name, "not packed") {
			continue
		}
		t.Run(tt.name+", large", func(t *testing.T) {
			// The same two values 700 times: long enough to stay in the file.
			_, _, n := protowire.ConsumeField(tt.field)
			one := recordBody(tt.field[:n])
			number, _, _ := protowire.ConsumeTag(tt.field)
			m, err := Load(write(t, initializer(num(1, 700), num(1, 2), num(2, int64(tt.dtype)), sub(number, []byte(strings.Repeat(string(one), 700))))))
			if err != nil {
				t.Fatal(err)
			}
			if n := len(m.holes); n != 1 {
				t.Fatalf("%d tensors stay in the file, want 1", n)
			}
			check := func(m *Model) {
				t.Helper()
				x, err := m.Graph.Lookup("w").Initializer().Rows(699, 1)
				if err != nil {
					t.Fatal(err)
				}
				compareTensor(t, x, tt.want, tt.float)
			}
			check(m)
			check(saveAndLoad(t, m))
			for _, w := range []Weights{Ref, Copy} {
				out := filepath.Join(filepath.Dir(m.Path()), string(w)+".onnx")
				if _, err := Save(t.Context(), m, out, w, false); err != nil {
					t.Fatal(err)
				}
				other, err := Load(out)
				if err != nil {
					t.Fatal(err)
				}
				check(other)
			}
		})
	}
}

func compare(t *testing.T, m *Model, ints []int64, floats []float32) {
	t.Helper()
	x, err := m.Graph.Lookup("w").Initializer().Load()
	if err != nil {
		t.Fatal(err)
	}
	compareTensor(t, x, ints, floats)
}

func compareTensor(t *testing.T, x *Tensor, ints []int64, floats []float32) {
	t.Helper()
	if floats != nil {
		got, err := x.Float32s()
		if err != nil || len(got) != 2 || got[0] != floats[0] || got[1] != floats[1] {
			t.Errorf("read %v, want %v (%v)", got, floats, err)
		}
		return
	}
	got, err := x.Int64s()
	if err != nil || len(got) != 2 || got[0] != ints[0] || got[1] != ints[1] {
		t.Errorf("read %v, want %v (%v)", got, ints, err)
	}
}
