package graph

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// largeModel writes a model of n nodes and n initializers, every third one of 4 KiB, and returns its path.
func largeModel(t testing.TB, n int) string {
	t.Helper()
	weights := filepath.Join(t.TempDir(), "w.bin")
	if err := os.WriteFile(weights, make([]byte, 4096*n/3+4096), 0o644); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("ir 8 opset 17\ngraph main {\n in x: float32[batch, 32, 32]\n")
	for i := range n {
		if i%3 == 0 {
			fmt.Fprintf(&b, " const /h.%d/weight = float32[32, 32] file \"w.bin\" %d 4096\n", i, i/3*4096)
		} else {
			fmt.Fprintf(&b, " const /h.%d/weight = float32[] {0.5}\n", i)
		}
	}
	last := "x"
	for i := range n {
		op := []string{"MatMul", "Add", "Mul"}[i%3]
		fmt.Fprintf(&b, " /h.%d/out: float32[batch, 32, 32] = %s(%s, /h.%d/weight) @/h.%d/op\n", i, op, last, i, i)
		last = fmt.Sprintf("/h.%d/out", i)
	}
	fmt.Fprintf(&b, " out %s\n}\n", last)
	m, err := ParseIn(filepath.Dir(weights), b.String())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(weights), "large.onnx")
	if _, err := Save(context.Background(), m, path, Embed, false); err != nil {
		t.Fatal(err)
	}
	return path
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{3_000, 30_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path := largeModel(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSave(b *testing.B) {
	path := largeModel(b, 3_000)
	for _, w := range []Weights{Ref, Copy, Embed} {
		b.Run(string(w), func(b *testing.B) {
			m, err := Load(path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Save(b.Context(), m, path+".out", w, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEdit makes one small edit: by itself, as one of four within a Try, and as one that fails.
func BenchmarkEdit(b *testing.B) {
	for _, n := range []int{3_000, 10_000} {
		m, err := Load(largeModel(b, n))
		if err != nil {
			b.Fatal(err)
		}
		edit := func(fail bool) error {
			e := m.Edit()
			v := m.Graph.nodes[n/2].Out(0)
			y := e.Node(m.Graph, Spec{Op: "Identity", Inputs: []*Value{v}})
			e.Redirect(v.Uses()[0], y)
			if fail {
				e.Redirect(Use{v.node, 9}, y)
			}
			return e.Commit()
		}
		run := func(name string, f func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("one", func() error { return edit(false) })
		run("try", func() error {
			return m.Try(func() error {
				for range 4 {
					if err := edit(false); err != nil {
						return err
					}
				}
				return nil
			})
		})
		run("fails", func() error {
			if edit(true) == nil {
				return errors.New("the edit succeeds")
			}
			return nil
		})
	}
}
