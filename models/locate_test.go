package models

import (
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

func TestLocateFixtures(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.onnx")
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := graph.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Locate(m, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(l.Family, l.Exporter, l.Layers, l.Heads, l.DHead, l.DModel, l.Vocab, l.NCtx, l.Embed != nil, l.Unembed != nil)
		})
	}
}
