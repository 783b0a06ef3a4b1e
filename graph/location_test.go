package graph

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Locations must be returned without opening the files, which do not exist, and only if they are allowed.
func TestLocations(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
		want []string
		err  string
	}{
		{"none", initializer(num(1, 4), num(2, 1), sub(9, make([]byte, 16))), nil, ""},
		{"one", external(entry("location", "model.onnx_data")), []string{"model.onnx_data"}, ""},
		{"spelled oddly", external(entry("location", "./sub//w.bin"), entry("offset", "9000000000000")), []string{"sub/w.bin"}, ""},
		{"outside", external(entry("location", "../w.bin")), nil, "is not under"},
		{"not a model", []byte("text"), nil, "not an ONNX model"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Locations(write(t, tt.data))
			if tt.err == "" && (err != nil || !slices.Equal(got, tt.want)) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	// Many tensors in one file name it once.
	m, err := Load("../models/testdata/optimum-1-merged.onnx")
	if err != nil {
		t.Fatal(err)
	}
	saved, err := Save(t.Context(), m, filepath.Join(t.TempDir(), "m.onnx"), Copy, false)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(saved.Data)
	if got, err := Locations(saved.Path); err != nil || len(got) != 1 || got[0] != filepath.Base(saved.Data) {
		t.Errorf("got %q, %v", got, err)
	}
}

// Some writers give data_location explicitly although the data is in the file. A copy that refers to the data must drop
// that field, because the last one wins and readers would look for data in the copy. An inline copy keeps it in its place.
func TestSpelledOutLocation(t *testing.T) {
	data := randomBytes(4 * 1024)
	for name, tensor := range map[string][]byte{
		"after the data": cat(num(1, 1024), num(2, 1), sub(9, data), num(14, 0)),
		"before":         cat(num(1, 1024), num(2, 1), num(14, 0), sub(9, data)),
	} {
		for _, mode := range []Weights{Ref, Copy, Embed} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				path := write(t, initializer(tensor))
				m, err := Load(path)
				if err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(filepath.Dir(path), "out.onnx")
				if _, err := Save(t.Context(), m, out, mode, false); err != nil {
					t.Fatal(err)
				}
				again, err := Load(out)
				if err != nil {
					t.Fatal(err)
				}
				w, err := again.Graph.Lookup("w").Initializer().Load()
				if err != nil || !bytes.Equal(w.Data, data) {
					t.Fatalf("the copy holds other data (%v)", err)
				}
				if mode == Embed {
					a, _ := os.ReadFile(path)
					b, _ := os.ReadFile(out)
					if !bytes.Equal(a, b) {
						t.Error("the inline copy is another file")
					}
				}
			})
		}
	}
}
