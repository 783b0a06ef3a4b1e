package rewrite

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// A file that is read and written without a change has the same bytes, and a rewrite leaves every tensor as it was, wherever its bytes
// go. (The command refuses a rewrite without an option: there is nothing to do.)
func TestC08RoundTrip(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m, _ := load(t, path)
			defer m.Close()
			// Weights in the file stay there; those in a data file are still read from it, beside the copy.
			weights, dir := graph.Embed, t.TempDir()
			for _, f := range m.Sources()[1:] {
				weights = graph.Ref
				copyFile(t, f.Path, filepath.Join(dir, filepath.Base(f.Path)))
			}
			copyFile(t, path, filepath.Join(dir, "in.onnx"))
			same, err := graph.Load(filepath.Join(dir, "in.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			defer same.Close()
			if _, err := graph.Save(t.Context(), same, filepath.Join(dir, "out.onnx"), weights, false); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "out.onnx")); !bytes.Equal(got, want) {
				t.Errorf("without a change, %d bytes became %d others: %v", len(want), len(got), err)
			}
			before := sums(t, m)
			for _, weights := range []graph.Weights{graph.Copy, graph.Embed} {
				m, l := load(t, path)
				defer m.Close()
				man, _, err := Apply(t.Context(), m, l, Request{Inject: []Inject{{Site: models.DefaultSite, Layers: []int{0, l.Layers - 1}}}})
				if err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(t.TempDir(), "out.onnx")
				if _, err := Save(t.Context(), m, man, out, weights, false); err != nil {
					t.Fatal(err)
				}
				copied, err := graph.Load(out)
				if err != nil {
					t.Fatal(err)
				}
				defer copied.Close()
				after := sums(t, copied)
				for name, sum := range before {
					if after[name] != sum {
						t.Errorf("weights %s: tensor %q has changed or is gone", weights, name)
					}
				}
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, want) {
				t.Error("the input has changed")
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sums returns the checksum of every initializer, its type and shape included.
func sums(t *testing.T, m *graph.Model) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	for _, v := range m.Graph.Initializers() {
		x, err := v.Initializer().Load()
		if err != nil {
			t.Fatalf("%s: %v", v.Name(), err)
		}
		h := sha256.New()
		h.Write([]byte(x.DType.String()))
		for _, d := range x.Dims {
			h.Write([]byte{byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)})
		}
		h.Write(x.Data)
		out[v.Name()] = [32]byte(h.Sum(nil))
	}
	return out
}
