package graph

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Some writers spell data_location out although the data is in the file. A copy that refers to the data must not keep that
// word: the last one wins, and readers would look for data in the copy. An inline copy keeps it where it stood.
func TestSpelledOutLocation(t *testing.T) {
	data := randomBytes(4 * 1024)
	for name, tensor := range map[string][]byte{
		"behind": cat(num(1, 1024), num(2, 1), sub(9, data), num(14, 0)),
		"before": cat(num(1, 1024), num(2, 1), num(14, 0), sub(9, data)),
	} {
		for _, mode := range []Weights{Ref, Copy, Embed} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				path := write(t, initializer(tensor))
				m, err := Load(path)
				if err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(filepath.Dir(path), "out.onnx")
				if _, err := Save(m, out, mode, false); err != nil {
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
