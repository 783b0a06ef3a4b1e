package generate

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// What is stored at a phrase acts in the step of the prompt and stays in the cache: the tokens are those of the same change by
// ports at the phrase's last token. A file that takes one token at a time is refused.
func TestPhrases(t *testing.T) {
	refs := readReferences(t)
	cached, refusals := 0, 0
	for path, ref := range fixtures(t) {
		name := strings.TrimPrefix(path, testdata+"/")
		r, ok := refs[cmp.Or(ownReference[name], ref)]
		if !ok {
			continue // no prompt
		}
		t.Run(name, func(t *testing.T) {
			d, err := decoder.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			l, err := d.Locate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			at := intervention.Change{Site: models.PortResidPost, Layer: 0, Tau: 3, Vector: vector(5, l.DModel), Positions: position(t, "2")}
			baked := models.Baked{Site: at.Site, Keep: &at.Keep, Tau: at.Tau, Phrase: "a phrase", Tokens: [][]int64{r.Prompt[1:3]}}
			run := func(req rewrite.Request, p intervention.Plan) ([]int64, error) {
				m, err := Open(t.Context(), orttest.Host(t), d, runtime.Options{Threads: 1}, req)
				if err != nil {
					return nil, err
				}
				defer m.Close()
				if p == nil && req.Bake != nil && m.Cached() {
					cached++
				}
				got, err := m.Continue(t.Context(), Request{Prompt: r.Prompt, Max: 12, Plan: p})
				if err != nil {
					return nil, err
				}
				return got.IDs, nil
			}
			got, err := run(rewrite.Request{Signal: true, Bake: []rewrite.Bake{{Baked: baked, Vector: at.Vector}}}, nil)
			if l.Tokens().Type().Dims[1].Size == 1 {
				if err == nil || !strings.Contains(err.Error(), "has 2 tokens, and the model takes 1 at a time") {
					t.Errorf("a file for one token: %v", err)
				}
				refusals++
				return
			}
			here := rewrite.Inject{Site: at.Site, Layers: []int{0}}
			want, err2 := run(rewrite.Request{Signal: true, Inject: []rewrite.Inject{here}, Gate: []rewrite.Inject{here}}, intervention.Plan{at})
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	if cached < 5 || refusals == 0 {
		t.Errorf("%d files with a cache, %d files for one token", cached, refusals)
	}
}

func position(t *testing.T, s string) intervention.Positions {
	t.Helper()
	p, err := intervention.ParsePositions(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
