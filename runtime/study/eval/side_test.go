package eval

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

const twoTexts = "She lives in Sweden. The language there is Swedish.\nThey left for Italy by boat. People there pay with the euro.\n"

// softmax is the probabilities of logits, computed without any code of this program.
func softmax(logits []float32) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, x := range logits {
		top = math.Max(top, float64(x))
	}
	p := make([]float64, len(logits))
	for i, x := range logits {
		p[i] = math.Exp(float64(x) - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// reference computes the side effect of a plan from the last logits of every beginning of a text, each a run of its own.
func reference(t *testing.T, m *steer.Model, ids []int64, from int, plan intervention.Plan) (kl, clean, changed float64) {
	t.Helper()
	b, err := m.Batch(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	for at := from; at < len(ids); at++ {
		var so intervention.Plan // the changes that the beginning reaches
		for _, c := range plan {
			if _, _, err := c.Positions.Within(at + 1); err == nil {
				so = append(so, c)
			}
		}
		rows, err := b.Rows(t.Context(), ids[:at+1], []intervention.Plan{nil, so})
		if err != nil {
			t.Fatal(err)
		}
		p, q := softmax(rows[0]), softmax(rows[1])
		for i := range p {
			kl += p[i] * math.Log(p[i]/q[i])
		}
		if at+1 < len(ids) {
			clean -= math.Log(p[ids[at+1]])
			changed -= math.Log(q[ids[at+1]])
		}
	}
	n := float64(len(ids) - from)
	return kl / n, clean / (n - 1), changed / (n - 1)
}

func positionsOf(t *testing.T, s string) intervention.Positions {
	t.Helper()
	p, err := intervention.ParsePositions(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// KL divergence and perplexity are those of the last logits of every beginning of a text. Tau 0 changes nothing at all.
func TestSideEffects(t *testing.T) {
	c := world(t)
	c.SideEffects, c.Layers, c.Taus, c.Limit, c.Top = write(t, "texts.txt", twoTexts), []int{0, 3}, []float64{0, 1, 4}, 3, 0
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, at := range []string{"all", "1-2", "last"} {
		c.Positions, c.Dir = positionsOf(t, at), filepath.Join(t.TempDir(), "out")
		report, got := run(t, c)
		if len(got.SideEffects) != 2*2*3 || got.Manifest.SideEffects.Positions != map[string]string{"all": "all", "1-2": "1-2", "last": "middle"}[at] {
			t.Fatalf("%s: %d side effects, %+v", at, len(got.SideEffects), got.Manifest.SideEffects)
		}
		type sums struct{ kl, clean, changed, positions, tokens float64 }
		total := map[results.Point]*sums{}
		for _, s := range got.SideEffects {
			text := strings.Split(twoTexts, "\n")[s.Text]
			ids, err := m.Prompt(text)
			if err != nil {
				t.Fatal(err)
			}
			half := (len(ids) + 1) / 2
			from := map[string]int{"all": 0, "1-2": 1, "last": half - 1}[at]
			where := map[string]string{"all": "all", "1-2": "1-2", "last": fmt.Sprint(half - 1)}[at]
			if s.From != from || s.Positions != len(ids)-from {
				t.Errorf("%s: text %d has %d positions from %d, want %d from %d", at, s.Text, s.Positions, s.From, len(ids)-from, from)
			}
			// The prompts are divided among the texts.
			if want := []int{0, 1}[s.Text]; s.Prompt != want || s.Memory != got.Prompts[want].ExplicitEntity {
				t.Errorf("%s: text %d has the memory %q of prompt %d", at, s.Text, s.Memory, s.Prompt)
			}
			v, err := m.Encode(t.Context(), s.Memory, c.Encoding, c.Convention, s.Layer)
			if err != nil {
				t.Fatal(err)
			}
			var plan intervention.Plan
			for p := range strings.SplitSeq(where, "-") {
				plan = append(plan, intervention.Change{Site: models.PortAttnOut, Layer: s.Layer, Keep: 1, Tau: s.Tau, Vector: v, Positions: positionsOf(t, p)})
			}
			kl, clean, changed := reference(t, m, ids, from, plan)
			if !(math.Abs(kl-s.KL) <= 1e-5*(1+kl) && math.Abs(clean-s.CleanNLL) <= 1e-5*(1+clean) && math.Abs(changed-s.NLL) <= 1e-5*(1+changed)) {
				t.Errorf("%s: %v of text %d has %v, %v, %v; want %v, %v, %v", at, s.Point(), s.Text, s.KL, s.CleanNLL, s.NLL, kl, clean, changed)
			}
			if s.Tau == 0 && (s.KL != 0 || s.NLL != s.CleanNLL) || s.Tau > 0 && !(s.KL > 0) {
				t.Errorf("%s: %v of text %d has KL %v, nll %v and %v", at, s.Point(), s.Text, s.KL, s.CleanNLL, s.NLL)
			}
			x := total[s.Point()]
			if x == nil {
				x = &sums{}
				total[s.Point()] = x
			}
			n := float64(len(ids) - from)
			x.kl, x.clean, x.changed, x.positions, x.tokens = x.kl+kl*n, x.clean+clean*(n-1), x.changed+changed*(n-1), x.positions+n, x.tokens+n-1
		}
		// The summary has the numbers over all texts.
		side := report.Summary.Series[0].SideEffects
		if len(side.Grid) != len(total) || side.File != "texts.txt" {
			t.Fatalf("%+v", side)
		}
		for _, x := range side.Grid {
			want := total[results.Point{Source: "curated", Layer: x.Layer, Tau: x.Tau}]
			near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-4*(1+math.Abs(b)) }
			if x.Texts != 2 || x.NonFinite != 0 || !near(float64(x.KL), want.kl/want.positions) || !near(float64(x.CleanPerplexity), math.Exp(want.clean/want.tokens)) ||
				!near(float64(x.Perplexity), math.Exp(want.changed/want.tokens)) {
				t.Errorf("%s: %+v, want %+v", at, x, want)
			}
		}
	}
}

// The memories of phrases act on the last tokens of the first half.
func TestSideEffectsOfPairs(t *testing.T) {
	c := entityConfig(t, strings.Join(strings.SplitAfter(pairs, "\n")[:3], ""))
	c.Memories, c.Sites, c.SideEffects = []string{"entity"}, []models.PortKind{models.PortResidPost}, write(t, "texts.txt", twoTexts)
	_, got := run(t, c)
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, s := range got.SideEffects {
		ids, err := m.Prompt(strings.Split(twoTexts, "\n")[s.Text])
		if err != nil {
			t.Fatal(err)
		}
		names := strings.Split(s.Memory, and)
		half := (len(ids) + 1) / 2
		if s.Prompt != s.Text || len(names) != []int{2, 1}[s.Text] || s.From != half-len(names) {
			t.Errorf("text %d: %d memories of prompt %d from %d", s.Text, len(names), s.Prompt, s.From)
		}
		var plan intervention.Plan
		for i, name := range names {
			own, err := m.Prompt(name)
			if err != nil {
				t.Fatal(err)
			}
			at := models.BakedAt{Site: models.PortResidPost, Layer: s.Layer}
			v, err := m.Values(t.Context(), own, []models.BakedAt{at})
			if err != nil {
				t.Fatal(err)
			}
			d := m.Layout.DModel
			plan = append(plan, intervention.Change{Site: at.Site, Layer: at.Layer, Tau: 1, Vector: v[0][len(v[0])-d:], Positions: positionsOf(t, fmt.Sprint(s.From+i))})
		}
		if kl, clean, changed := reference(t, m, ids, s.From, plan); !(math.Abs(kl-s.KL) <= 1e-5*(1+kl) && math.Abs(clean-s.CleanNLL) <= 1e-5 && math.Abs(changed-s.NLL) <= 1e-5*(1+changed)) {
			t.Errorf("layer %d, text %d: got %v, %v, %v; want %v, %v, %v", s.Layer, s.Text, s.KL, s.CleanNLL, s.NLL, kl, clean, changed)
		}
	}
}

// An evaluation that stops between two texts resumes to the same bytes, and shards have the numbers of the whole.
func TestSideEffectsResumed(t *testing.T) {
	c := world(t)
	c.SideEffects, c.Layers, c.Taus, c.Limit = "demo", []int{1}, []float64{2}, 2
	r, whole := run(t, c)
	want, err := os.ReadFile(filepath.Join(c.Dir, results.SideEffectsFile))
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 2 || len(whole.SideEffects) != 12 {
		t.Fatalf("%+v, %d side effects", r, len(whole.SideEffects))
	}
	c.Dir = filepath.Join(t.TempDir(), "stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	c.Progress = func(p Progress) {
		if p.Stage == SideEffects && p.Done == 3 {
			stop(os.ErrProcessDone)
		}
	}
	if _, err := Run(ctx, orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), os.ErrProcessDone.Error()) {
		t.Fatalf("stopped: %v", err)
	}
	stopped, err := results.Load(t.Context(), c.Dir)
	if err != nil || len(stopped.Prompts) != 2 || len(stopped.SideEffects) != 3 {
		t.Fatalf("stopped with %d texts, %v", len(stopped.SideEffects), err)
	}
	c.Progress = nil
	if r, _ := run(t, c); r.Resumed != 2 || r.Done != 0 {
		t.Errorf("resumed: %+v", r)
	}
	if got, err := os.ReadFile(filepath.Join(c.Dir, results.SideEffectsFile)); err != nil || string(got) != string(want) {
		t.Errorf("resumed: other bytes, %v", err)
	}
	var shards []*results.Run
	for i := range 3 { // more shards than prompts
		c.Dir, c.Shard = filepath.Join(t.TempDir(), "shard"), results.Shard{Index: i, Of: 3}
		_, got := run(t, c)
		shards = append(shards, got)
	}
	merged, err := results.Merge(shards)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(whole.SideEffects, merged[0].SideEffects, cmpopts.EquateApprox(0, 1e-9)); len(merged) != 1 || d != "" {
		t.Errorf("shards: %s", d)
	}
}

// The memories and units that depend on the text itself are those of the text.
func TestSideEffectsOfOwnState(t *testing.T) {
	c, d := world(t), usual(t, "backpatch:3")
	c.Memories, c.Layers, c.Taus, c.Limit, c.Top = []string{"backpatch:3", "wrong:backpatch:3"}, []int{1}, []float64{1}, 2, 0
	c.Op, c.Sites, c.Positions, c.SideEffects = d.Op, []models.PortKind{d.Site}, d.Positions, write(t, "texts.txt", twoTexts)
	_, got := run(t, c)
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	data, err := ReadData(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got.SideEffects {
		ids, err := m.Prompt(strings.Split(twoTexts, "\n")[s.Text])
		if err != nil {
			t.Fatal(err)
		}
		half := (len(ids) + 1) / 2
		source := ids[:half]
		if s.Source != "backpatch:3" {
			_, other, _ := strings.Cut(s.Memory, " of prompt ")
			n, err := strconv.Atoi(other)
			if err != nil || n == s.Prompt {
				t.Fatalf("the memory is %q", s.Memory)
			}
			if source, err = m.Prompt(data.Rows[n].TwoHop); err != nil {
				t.Fatal(err)
			}
		}
		v, err := m.Values(t.Context(), source, []models.BakedAt{{Site: models.PortResidPost, Layer: 3}})
		if err != nil {
			t.Fatal(err)
		}
		plan := intervention.Plan{{Site: d.Site, Layer: 1, Tau: 1, Vector: v[0][len(v[0])-m.Layout.DModel:], Positions: positionsOf(t, fmt.Sprint(half-1))}}
		if kl, _, changed := reference(t, m, ids, half-1, plan); !(math.Abs(kl-s.KL) <= 1e-5*(1+kl) && math.Abs(changed-s.NLL) <= 1e-5*(1+changed)) {
			t.Errorf("%s, text %d: got %v, %v; want %v, %v", s.Source, s.Text, s.KL, s.NLL, kl, changed)
		}
	}
	c = world(t)
	c.TauUnit, c.Layers, c.Taus, c.Limit, c.SideEffects = steer.TauNorm, []int{1}, []float64{0.5}, 1, write(t, "texts.txt", twoTexts)
	c.Also = []intervention.Entry{{Op: intervention.Ablate, Site: models.PortMLPOut, Layers: "2"}}
	_, got = run(t, c)
	for _, s := range got.SideEffects {
		ids, err := m.Prompt(strings.Split(twoTexts, "\n")[s.Text])
		if err != nil {
			t.Fatal(err)
		}
		half := ids[:(len(ids)+1)/2]
		x, err := m.Values(t.Context(), half, []models.BakedAt{{Site: models.PortAttnOut, Layer: 1}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.Encode(t.Context(), s.Memory, c.Encoding, c.Convention, 1)
		if err == nil {
			v, err = steer.Direction(v)
		}
		if err != nil {
			t.Fatal(err)
		}
		plan := intervention.Plan{{Site: models.PortMLPOut, Layer: 2}, {Site: models.PortAttnOut, Layer: 1, Keep: 1, Tau: 0.5 * steer.MeanLength(x[0], len(half)), Vector: v}}
		if kl, _, changed := reference(t, m, ids, 0, plan); !(math.Abs(kl-s.KL) <= 1e-5*(1+kl) && math.Abs(changed-s.NLL) <= 1e-5*(1+changed)) {
			t.Errorf("norm, text %d: got %v, %v; want %v, %v", s.Text, s.KL, s.NLL, kl, changed)
		}
	}
}

// Numbers that leave the range of their type have a status, and no value.
func TestSideEffectsNotFinite(t *testing.T) {
	c := world(t)
	c.SideEffects, c.Layers, c.Taus, c.Limit = write(t, "texts.txt", twoTexts), []int{0}, []float64{1e30}, 1
	r, got := run(t, c)
	for _, s := range got.SideEffects {
		if s.Status != results.Inf {
			t.Errorf("%+v", s)
		}
	}
	if x := r.Summary.Series[0].SideEffects.Grid[0]; r.NotFinite != 1+2 || x.NonFinite != 2 || x.Texts != 0 || x.KL.OK() || x.Perplexity.OK() {
		t.Errorf("%d without a number, %+v", r.NotFinite, x)
	}
}

func TestSideEffectsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(c *Config)
		want string
	}{
		{"no file", func(c *Config) { c.SideEffects = "none.txt" }, "none.txt"},
		{"an empty text", func(c *Config) { c.SideEffects = write(t, "texts.txt", "a\n\nb\n") }, "prompt 1 is empty"},
		{"a long text", func(c *Config) {
			c.SideEffects = write(t, "texts.txt", "People\n"+strings.Repeat("People in Japan speak. ", 20))
		},
			"side effects: text 1 of texts.txt: prompt of "},
		{"positions that a text does not have", func(c *Config) { c.SideEffects, c.Positions = write(t, "texts.txt", twoTexts), positionsOf(t, "6") },
			"side effects: text 0 of texts.txt: its first half: positions 6-6, the prompt has tokens 0 to 5"},
		{"an intervention at a phrase", func(c *Config) {
			c.SideEffects = "demo"
			c.Also = []intervention.Entry{{Op: intervention.Ablate, Layers: "1", Positions: `text:"land"`}}
		}, `an intervention has the positions text:"land", which other texts do not have`},
	} {
		c := world(t)
		tt.set(&c)
		if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if _, err := os.Stat(c.Dir); err == nil {
			t.Errorf("%s: the folder was made", tt.name)
		}
	}
	c := world(t)
	c.SideEffects = "danish"
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(hint.Of(err), "one of the built-in lists: demo, english") {
		t.Errorf("another list: %v, %q", err, hint.Of(err))
	}
	c = entityConfig(t, strings.Join(strings.SplitAfter(pairs, "\n")[:2], ""))
	c.Memories, c.SideEffects = []string{"entity"}, write(t, "texts.txt", "A\n")
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "want a token for each of 2 memories in its first half, got 1 tokens") {
		t.Errorf("a short text: %v", err)
	}
}
