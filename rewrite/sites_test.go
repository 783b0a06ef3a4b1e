package rewrite

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// families lists the fixtures of other families, including those in folders.
func families(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testdata, "families", "*.onnx"))
	inFolders, err2 := filepath.Glob(filepath.Join(testdata, "families", "*", "*.onnx"))
	files = append(files, inFolders...)
	if err := errors.Join(err, err2); err != nil || len(files) < 21 {
		t.Fatalf("want 21 fixtures, got %d (%v)", len(files), err)
	}
	return files
}

// In every family, with every form of join, a patched file must be recognised with the model's own values: both halves of a
// request must give the same model as the whole request.
func TestSitesOfFamilies(t *testing.T) {
	type step func(req *Request, site models.PortKind, l *models.Layout)
	inject := func(req *Request, site models.PortKind, l *models.Layout) {
		req.Inject = append(req.Inject, Inject{site, allLayers(l)})
		req.Gate = append(req.Gate, Inject{site, allLayers(l)})
	}
	bake := func(req *Request, site models.PortKind, l *models.Layout) {
		req.Bake = append(req.Bake, Bake{models.Baked{Site: site, Layer: l.Layers - 1, Tau: 2}, slices.Repeat([]float32{0.5}, site.Intervention().MemoryLen(l))})
	}
	expose := func(req *Request, _ models.PortKind, l *models.Layout) { req.Expose = everything(l).Expose }
	for _, path := range families(t) {
		f, err := folder.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		read := func(t *testing.T, m *graph.Model) *models.Layout {
			l, err := recognise.Locate(t.Context(), m, f.Config)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		for _, site := range models.Sites() {
			for name, steps := range map[string][]step{"inject, expose": {inject, expose}, "bake, expose": {bake, expose}, "inject, bake": {inject, bake}, "expose, inject": {expose, inject}} {
				t.Run(strings.TrimPrefix(path, testdata)+"/"+string(site)+"/"+name, func(t *testing.T) {
					var whole Request
					var models [2]*graph.Model
					for i := range models {
						if models[i], err = graph.Load(f.Model); err != nil {
							t.Fatal(err)
						}
					}
					for _, step := range steps {
						l := read(t, models[0])
						step(&whole, site, l)
						var half Request
						step(&half, site, l)
						if _, _, err := Apply(t.Context(), models[0], l, half); err != nil {
							t.Fatal(err)
						}
					}
					if _, _, err := Apply(t.Context(), models[1], read(t, models[1]), whole); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(meaning(t, models[1]), meaning(t, models[0])); diff != "" {
						t.Errorf("-at once +in halves\n%s", diff)
					}
				})
			}
		}
	}
}
