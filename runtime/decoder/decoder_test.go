package decoder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
)

const testdata = "../../models/testdata"

// host keeps what it is given and runs nothing.
type host struct {
	models []runtime.Model
	err    error
}

func (h *host) Name() string { return "none" }

func (h *host) Open(_ context.Context, m runtime.Model, _ runtime.Options) (runtime.Session, error) {
	h.models = append(h.models, m)
	return nil, h.err
}

func opened(t *testing.T, name string) *Model {
	t.Helper()
	m, err := Open(filepath.Join(testdata, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// Sessions run copies: a model can be changed in as many ways as needed, and its file is read once.
func TestSessionsDoNotMeet(t *testing.T) {
	m, h := opened(t, "torchscript-op10.onnx"), &host{}
	before := text(t, m.Graph)
	l, err := m.Locate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inject := rewrite.Request{Inject: []rewrite.Inject{{Site: models.DefaultSite, Layers: []int{0, 1}}}}
	moved := m.Folder.Model + ".moved"
	m.Folder.Model = moved // nothing opens it
	for _, change := range []Change{Apply(inject), FanOut(rewrite.Grid{Sites: []models.PortKind{models.DefaultSite}, Top: 3}, new([]models.BakedAt)), Apply(rewrite.Request{}), Apply(inject)} {
		s, err := m.Session(t.Context(), h, runtime.Options{}, change)
		if err != nil {
			t.Fatal(err)
		}
		if s.Signature == nil || s.Layout == nil || s.Layout == l {
			t.Errorf("a session with %v, layout %p of the model's %p", s.Signature, s.Layout, l)
		}
	}
	if again, _ := m.Locate(t.Context()); again != l {
		t.Error("the decoder was recognised twice")
	}
	if text(t, m.Graph) != before {
		t.Error("a session changed the model")
	}
	if !slices.Equal(h.models[0].Bytes, h.models[3].Bytes) || slices.Equal(h.models[0].Bytes, h.models[1].Bytes) {
		t.Error("what a session gets depends on those before it")
	}
}

func text(t *testing.T, g *graph.Model) string {
	t.Helper()
	var b strings.Builder
	if err := graph.Write(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A session on the unchanged file gets its path, not what was read of it.
func TestUnchangedIsTheFile(t *testing.T) {
	m, h := opened(t, "torchscript-op10.onnx"), &host{}
	s, err := m.Unchanged(t.Context(), h, runtime.Options{})
	if err != nil || s.Signature == nil {
		t.Fatal(s, err)
	}
	if got := h.models[0]; got.Path != m.Folder.Model || got.Bytes != nil {
		t.Errorf("the host got %d bytes and the path %q", len(got.Bytes), got.Path)
	}
}

// Whatever fails, the copy is closed and the model stays usable.
func TestSessionErrors(t *testing.T) {
	m := opened(t, "torchscript-op10.onnx")
	failed := errors.New("failed")
	var copied *graph.Model
	for name, tt := range map[string]struct {
		host   *host
		change Change
		want   error
	}{
		"change": {&host{}, func(_ context.Context, c *Copy) error { copied = c.Graph; return failed }, failed},
		"host":   {&host{err: failed}, Apply(rewrite.Request{}), failed},
	} {
		if _, err := m.Session(t.Context(), tt.host, runtime.Options{}, tt.change); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if copied == nil || copied == m.Graph {
		t.Error("a change got the model itself")
	}
	if _, err := m.Session(t.Context(), &host{}, runtime.Options{}); err != nil {
		t.Errorf("a session after that: %v", err)
	}
}

// With replaces what the folder says about heads, for a copy of the model alone.
func TestWith(t *testing.T) {
	m := opened(t, "torchscript-op10.onnx")
	l, err := m.Locate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.With(&models.Config{Heads: l.Heads + 1}).Locate(t.Context()); err == nil || !strings.Contains(err.Error(), "heads") {
		t.Errorf("another number of heads: %v", err)
	}
	if again, err := m.Locate(t.Context()); err != nil || again != l {
		t.Errorf("the model itself: %v", err)
	}
}

// What is no ONNX file says what is needed.
func TestOpenErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.bin")
	if err := os.WriteFile(path, []byte("not a model"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(hint.Of(err), "want an ONNX file") {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
	if _, err := Open("nothing.onnx"); err == nil {
		t.Error("a file that is not there was opened")
	}
}
