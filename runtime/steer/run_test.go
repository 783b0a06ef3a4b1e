package steer

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// openDemo writes the embedded model to a folder and opens it.
func openDemo(t *testing.T, o runtime.Options) (*Model, string) {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	m, err := Open(t.Context(), orttest.Host(t), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, dir
}

func query(text string, tau float64) Query {
	p := demo.Prompts()[0]
	if text == "" {
		return Query{Prompt: p.ObscureSentence, Answer: p.Answer, Top: 5}
	}
	return Query{Prompt: p.ObscureSentence, Answer: p.Answer, Top: 5,
		Entries: []intervention.Entry{intervention.AddText(text, 1, tau, memory.EncodingUnembed, memory.ConventionFolded)}}
}

func TestRunLaws(t *testing.T) {
	m, _ := openDemo(t, runtime.Options{Threads: 1, Level: runtime.Unmodified})
	ctx := context.Background()
	text := demo.Prompts()[0].ExplicitEntity
	off, err := m.Run(ctx, query(text, 0))
	if err != nil {
		t.Fatal(err)
	}
	if off.Answer.PClean != off.Answer.PInjected || off.NoEffect {
		t.Errorf("tau = 0 changes p from %v to %v", off.Answer.PClean, off.Answer.PInjected)
	}
	on, err := m.Run(ctx, query(text, 2))
	if err != nil {
		t.Fatal(err)
	}
	if on.Answer.PClean != off.Answer.PClean || on.Answer.PInjected == on.Answer.PClean || on.NoEffect {
		t.Errorf("tau = 2: %+v", on.Answer)
	}
	sum := 0.0
	q := query(text, 2)
	q.Top = m.Layout.Vocab
	whole, err := m.Run(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	for i, tok := range whole.Injected {
		sum += tok.P
		if i > 0 && tok.P > whole.Injected[i-1].P {
			t.Fatalf("token %d is likelier than the one before it", i)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("probabilities add up to %v", sum)
	}
	if got := whole.Injected[whole.Answer.RankInjected].ID; got != whole.Answer.ID {
		t.Errorf("rank %d is token %d, want %d", whole.Answer.RankInjected, got, whole.Answer.ID)
	}
	none, err := m.Run(ctx, query("", 2))
	if err != nil {
		t.Fatal(err)
	}
	if none.Injected != nil || none.Answer.PInjected != none.Answer.PClean {
		t.Errorf("without a memory: %+v", none.Answer)
	}
	vector, err := m.Encode(ctx, text, memory.EncodingUnembed, memory.ConventionFolded, 1)
	if err != nil {
		t.Fatal(err)
	}
	q = query("", 2)
	q.Changes = intervention.Plan{{Site: models.DefaultSite, Layer: 1, Keep: 1, Tau: 2, Vector: vector}}
	same, err := m.Run(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if same.Answer.PInjected != on.Answer.PInjected {
		t.Errorf("the vector gives %v, its text %v", same.Answer.PInjected, on.Answer.PInjected)
	}
}

// Rows of one run equal single runs.
func TestE04RowsEqualSingleRuns(t *testing.T) {
	m, _ := openDemo(t, runtime.Options{Threads: 1})
	ctx := context.Background()
	ids, err := m.Prompt("The capital of the land of the Gandan Monastery is")
	if err != nil {
		t.Fatal(err)
	}
	v, err := m.Encode(ctx, "Mongolia", memory.EncodingEmbed, memory.ConventionFolded, 0)
	if err != nil {
		t.Fatal(err)
	}
	taus := []float64{0, 0.5, 1, 4}
	var ports intervention.Plan
	for _, site := range models.Sites() {
		for layer := range m.Layout.Layers {
			ports = append(ports, intervention.Change{Site: site, Layer: layer, Vector: make([]float32, site.Intervention().MemoryLen(m.Layout))})
		}
	}
	b, err := m.Batch(ctx, ports)
	if err != nil {
		t.Fatal(err)
	}
	for i, port := range ports {
		layer := port.Layer
		for _, s := range []string{"all", "last", "1-3"} {
			at, err := intervention.ParsePositions(s)
			if err != nil {
				t.Fatal(err)
			}
			var changes []intervention.Plan
			for k, tau := range taus {
				c := intervention.Change{Site: port.Site, Layer: layer, Keep: float64(k%2) + 0.5, Tau: tau, Vector: v, Positions: at}
				if port.Site.Intervention().ByHead() {
					c.Heads = []int{(i + k) % m.Layout.Heads}
				}
				changes = append(changes, intervention.Plan{c})
			}
			rows, err := b.Rows(ctx, ids, changes)
			if err != nil {
				t.Fatal(err)
			}
			for i, tau := range taus {
				one, err := b.Rows(ctx, ids, changes[i:i+1])
				if err != nil {
					t.Fatal(err)
				}
				p, q := LogSoftmax(rows[i]), LogSoftmax(one[0])
				for j := range p {
					if d := math.Abs(p[j] - q[j]); !(d <= 1e-5) {
						t.Fatalf("layer %d, tau %g, %v: token %d differs by %g", layer, tau, at, j, d)
					}
				}
			}
		}
	}
}

// The layer encoding is the clean attention output at the last token of BOS + text, by an independent way: the port of a
// patched file.
func TestLayerEncoding(t *testing.T) {
	m, dir := openDemo(t, runtime.Options{Threads: 1})
	ctx := context.Background()
	got, err := m.Encode(ctx, "Mongolia", memory.EncodingLayer, memory.ConventionRaw, 2)
	if err != nil {
		t.Fatal(err)
	}
	d, err := decoder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	k, _ := rewrite.KindByName("result")
	s, err := d.Session(ctx, orttest.Host(t), runtime.Options{Threads: 1}, decoder.Apply(rewrite.Request{Expose: []rewrite.Expose{{Kind: k, Layers: []int{2}}}}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ids, _ := m.Prompt("Mongolia")
	feeds, err := s.Signature.Feeds([][]int64{ids})
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Run(ctx, feeds)
	if err != nil {
		t.Fatal(err)
	}
	heads, _ := out[models.PortResult.Name(2)].Float32s()
	want := make([]float64, m.Layout.DModel)
	for _, b := range m.Layout.Bodies[0].Layers[2].BO {
		x, err := weights.Vector(b)
		if err != nil {
			t.Fatal(err)
		}
		for j := range x {
			want[j] += float64(x[j])
		}
	}
	last := len(heads) - m.Layout.Heads*m.Layout.DModel
	for h := range m.Layout.Heads {
		for j := range want {
			want[j] += float64(heads[last+h*m.Layout.DModel+j])
		}
	}
	for j := range want {
		if d := math.Abs(want[j] - float64(got[j])); !(d <= 1e-5) {
			t.Fatalf("element %d is %v, want %v", j, got[j], want[j])
		}
	}
}

func TestE09RunErrors(t *testing.T) {
	m, dir := openDemo(t, runtime.Options{Threads: 1})
	ctx := context.Background()
	long := query("Mongolia", 1)
	long.Prompt = strings.Repeat("The capital of Mongolia is ", 40)
	layer := query("Mongolia", 1)
	layer.Entries[0].Layers = "6"
	nan := query("Mongolia", math.NaN())
	short := query("", 1)
	short.Changes = intervention.Plan{{Site: models.DefaultSite, Layer: 1, Keep: 1, Tau: 2, Vector: []float32{1, 2}}}
	at := query("Mongolia", 1)
	at.Entries[0].Positions = "40-50"
	for name, tt := range map[string]struct {
		q    Query
		want string
	}{
		"too long":     {long, "tokens, the model's context is 64"},
		"layer":        {layer, "no layer 6: the model has 6 layers, 0 to 5"},
		"tau":          {nan, "tau and keep must be numbers that float32 can hold"},
		"vector width": {short, "a memory of 2 numbers at attn_out, want 128"},
		"positions":    {at, "positions 40-50, the prompt has tokens 0 to"},
	} {
		if _, err := m.Run(ctx, tt.q); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	for _, name := range []string{"vocab.json", "merges.txt", "tokenizer.json"} {
		os.Remove(filepath.Join(dir, name))
	}
	bare, err := Open(t.Context(), orttest.Host(t), dir, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if _, err := bare.Run(ctx, query("Mongolia", 1)); err == nil || !strings.Contains(err.Error(), "tokenizer") {
		t.Errorf("without a tokenizer: %v", err)
	}
}

func TestE08LogSoftmax(t *testing.T) {
	for _, logits := range [][]float32{{0, 0, 0, 0}, {1e4, -1e4, 9999}, {-1e4, -1e4 + 1}, {3}} {
		sum := 0.0
		for _, x := range LogSoftmax(logits) {
			sum += math.Exp(x)
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("%v: probabilities add up to %v", logits, sum)
		}
	}
	if got := LogSoftmax([]float32{0, 0})[0]; math.Abs(got+math.Ln2) > 1e-15 {
		t.Errorf("two equal logits: %v, want -ln 2", got)
	}
}

// A whole answer has the sum of the log-probabilities of its tokens, each after the ones before it. The reference runs the rows of a
// batch, whose logits another path computes.
func TestWholeAnswer(t *testing.T) {
	m, _ := openDemo(t, runtime.Options{Threads: 1})
	q := query(demo.Prompts()[0].ExplicitEntity, 2)
	q.Answer, q.Whole = "Barack Obama", true
	r, err := m.Run(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Answer.Tokens) < 3 {
		t.Fatalf("the answer has %d tokens: too few for this test", len(r.Answer.Tokens))
	}
	ids, err := m.Prompt(q.Prompt)
	if err != nil {
		t.Fatal(err)
	}
	vector, layer := r.Plan[0].Vector, r.Plan[0].Layer
	want := [2]float64{}
	for _, token := range r.Answer.Tokens {
		rows, err := rowsAt(t, m, ids, layer, [][]float32{vector, vector}, []float64{0, 2})
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			want[i] += LogSoftmax(rows[i])[token.ID]
		}
		ids = append(ids, token.ID)
	}
	for i, got := range []float64{r.Answer.LogPClean, r.Answer.LogPInjected} {
		if math.Abs(got-want[i]) > 1e-4 {
			t.Errorf("row %d: log p %v, want %v", i, got, want[i])
		}
	}
	if math.Abs(want[0]-want[1]) < 1e-3 {
		t.Error("the memory changes nothing: the test shows nothing")
	}
	q.Whole = false
	first, err := m.Run(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if r.Answer.LogPClean >= first.Answer.LogPClean || r.Answer.RankClean != first.Answer.RankClean {
		t.Errorf("whole %+v, first token %+v", r.Answer, first.Answer)
	}
}
