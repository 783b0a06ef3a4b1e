package steer

import (
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// loaded opens a fixture with its folder and recognises it.
func loaded(t *testing.T, path string) (*graph.Model, *models.Layout) {
	t.Helper()
	f, err := folder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Load(f.Model)
	if err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), g, f.Config)
	if err != nil {
		t.Fatal(err)
	}
	return g, l
}

// What [inputs] feeds a file of any exporter and any family gives the logits of PyTorch.
func TestFeedsGiveTheReference(t *testing.T) {
	host := orttest.Host(t)
	for _, c := range fixtures(t) {
		t.Run(c.File, func(t *testing.T) { checkFeeds(t, host, c) })
	}
}

func checkFeeds(t *testing.T, host runtime.Host, c fixture) {
	var ref reference
	readJSON(t, filepath.Join(testdata, c.Ref), &ref)
	g, l := loaded(t, filepath.Join(testdata, c.File))
	in, err := inputs.Read(g, l)
	if err != nil {
		t.Fatal(err)
	}
	ids, want := ref.InputIDs, ref.Logits
	if c.First {
		ids, want = firsts(ids), want.cut(1, false)
	}
	feeds, err := in.Feeds(ids)
	if err != nil {
		t.Fatal(err)
	}
	s, err := host.Open(t.Context(), runtime.Model{Path: g.Path()}, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name := l.Logits().Name()
	out, err := s.Run(t.Context(), feeds, name)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, name, out[name], want, c.Atol)

	// Rotary positions are relative: where they begin plays no part. Some hosts begin at 1 (transformers.js for Gemma 3); no file and
	// no config.json says so, and none needs to.
	if l.PositionKind != models.RotaryPositions {
		return
	}
	for _, r := range in.Roles {
		if r.Role != inputs.RolePositions {
			continue
		}
		x, err := feeds[r.Name].Int64s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range x {
			x[i]++
		}
		feeds[r.Name] = graph.NewInt64(x, feeds[r.Name].Dims...)
		if out, err = s.Run(t.Context(), feeds, name); err != nil {
			t.Fatal(err)
		}
		compare(t, name+" with positions from 1", out[name], want, c.Atol)
	}
}

// firsts keeps the first token of each row.
func firsts(ids [][]int64) [][]int64 {
	var out [][]int64
	for _, row := range ids {
		out = append(out, row[:1])
	}
	return out
}
