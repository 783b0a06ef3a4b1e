package vector

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// writeShard writes a file of captured values: row r of the hook "a" is [r, -r], and of "z" [[r, 1], [2, 3]].
func writeShard(t *testing.T, dir string, number, first, rows int) {
	t.Helper()
	header, err := json.Marshal(map[string]any{
		"__metadata__": map[string]string{"onnx_inject.first": fmt.Sprint(first), "note": "n"},
		"a":            map[string]any{"dtype": "F32", "shape": []int{rows, 2}, "data_offsets": []int{0, 8 * rows}},
		"z":            map[string]any{"dtype": "F32", "shape": []int{rows, 2, 2}, "data_offsets": []int{8 * rows, 24 * rows}},
	})
	if err != nil {
		t.Fatal(err)
	}
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	put := func(x ...float64) {
		for _, v := range x {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
		}
	}
	for r := range rows {
		put(float64(first+r), -float64(first+r))
	}
	for r := range rows {
		put(float64(first+r), 1, 2, 3)
	}
	if err := os.WriteFile(filepath.Join(dir, ShardName(number)), data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// A row is found in whichever file has it, and the row of a hook with several axes is one vector.
func TestReadRow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "values#1") // a name that needs care
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	writeShard(t, dir, 0, 0, 3)
	writeShard(t, dir, 1, 3, 4)
	for row := range 7 {
		v, err := Read(fmt.Sprintf("%s#a[%d]", dir, row))
		if err != nil {
			t.Fatal(err)
		}
		if x := float32(row); !slices.Equal(v.Data, []float32{x, -x}) || len(v.Meta) != 1 {
			t.Errorf("row %d is %v with the facts %v", row, v.Data, v.Meta)
		}
		file, ok := File(fmt.Sprintf("%s#a[%d]", dir, row))
		if want := filepath.Join(dir, ShardName(min(row/3, 1))); !ok || file != want {
			t.Errorf("row %d is in %s, want %s", row, file, want)
		}
	}
	if v, err := Read(dir + "#z[5]"); err != nil || !slices.Equal(v.Data, []float32{5, 1, 2, 3}) {
		t.Errorf("z: %v, %v", v, err)
	}
	if v, err := Read(filepath.Join(dir, ShardName(1)) + "#a[2]"); err != nil || v.Data[0] != 5 {
		t.Errorf("a row of one file: %v, %v", v, err)
	}
	for _, c := range []struct{ path, err, hint string }{
		{dir, "is a folder, want one of its rows", "#HOOK[ROW], where HOOK is one of a, z"},
		{dir + "#a", `"a" names no row`, "#HOOK[ROW]"},
		{dir + "#a[7]", "row 7, the folder has 7 rows of a, from 0", ""},
		{dir + "#a[-1]", "names no row", "#HOOK[ROW]"},
		{dir + "#a[01]", "names no row", "#HOOK[ROW]"},
		{dir + "#b[0]", `no tensor "b"`, "HOOK is one of a, z"},
		{filepath.Join(dir, ShardName(0)) + "#a[3]", "so it has no row 3", ""},
		{t.TempDir() + "#a[0]", "no 000000.safetensors in the folder", "onnx-inject capture"},
	} {
		_, err := Read(c.path)
		if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(hint.Of(err), c.hint) {
			t.Errorf("%s: %v (%s), want %q (%s)", c.path, err, hint.Of(err), c.err, c.hint)
		}
	}
	if _, ok := File("words.txt"); ok {
		t.Error("words.txt is a vector file")
	}
}

// Several vectors are read back with their layers, in the formats that hold several.
func TestWriteAll(t *testing.T) {
	var vectors []*Vector
	for _, layer := range []int{3, 1, 2} { // in any order
		vectors = append(vectors, &Vector{
			Name: fmt.Sprintf("direction.%d", layer), Data: []float32{float32(layer), 1, 2},
			Meta: map[string]string{MetaLayer: fmt.Sprint(layer), MetaModel: "gpt2", "method": "mean"},
		})
	}
	for _, ext := range []string{".gguf", ".safetensors"} {
		path := filepath.Join(t.TempDir(), "v"+ext)
		if err := WriteAll(path, vectors, false); err != nil {
			t.Fatal(err)
		}
		got, err := ReadAll(path)
		if err != nil || len(got) != 3 {
			t.Fatalf("%d vectors, %v", len(got), err)
		}
		for _, v := range vectors {
			v2, err := Read(path + "#" + v.Name)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(v2.Data, v.Data) || v2.Meta["method"] != "mean" || v2.Meta[MetaModel] != "gpt2" {
				t.Errorf("%s is %v, want %v", v.Name, v2, v)
			}
			if ext == ".gguf" && v2.Meta[MetaLayer] != v.Meta[MetaLayer] {
				t.Errorf("%s has layer %s", v.Name, v2.Meta[MetaLayer])
			}
		}
	}
	for _, c := range []struct {
		name, err string
		vectors   []*Vector
	}{
		{"v.npy", "3 vectors, but .npy holds one", vectors},
		{"v.gguf", "two vectors for layer 3", append(vectors[:3:3], vectors[0])},
		{"v.safetensors", `two vectors have the name "direction.3"`, append(vectors[:3:3], vectors[0])},
		{"v.gguf", "has 1 elements", append(vectors[:3:3], &Vector{Data: []float32{1}})},
		{"v.gguf", "no vectors", nil},
	} {
		if err := WriteAll(filepath.Join(t.TempDir(), c.name), c.vectors, false); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
}
