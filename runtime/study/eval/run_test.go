package eval

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// world returns an evaluation of the embedded model: 6 prompts, 6 layers, 3 taus.
func world(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	model, err := decoder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	return Config{
		Model: model, Data: filepath.Join(dir, "prompts.csv"), Dir: filepath.Join(dir, "results"), Taus: []float64{0.5, 1, 4}, Memories: []string{"curated"},
		Encoding: memory.EncodingUnembed, Convention: memory.ConventionFolded, Texts: memory.PaperTexts, Plan: Auto, Limit: 6, Top: 3,
		Options: runtime.Options{Threads: 1},
	}
}

func run(t *testing.T, c Config) (*Report, *results.Run) {
	t.Helper()
	r, err := Run(context.Background(), orttest.Host(t), c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := results.Load(t.Context(), c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return r, got
}

// compare requires two runs to have the same cells, with log-probabilities within 1e-5.
func compare(t *testing.T, what string, want, got *results.Run) {
	t.Helper()
	if len(want.Cells) != len(got.Cells) || len(want.Prompts) != len(got.Prompts) {
		t.Fatalf("%s: %d cells of %d prompts, want %d of %d", what, len(got.Cells), len(got.Prompts), len(want.Cells), len(want.Prompts))
	}
	score := func(name string, a, b results.Score) {
		if d := math.Abs(a.LogP - b.LogP); !(d <= 1e-5) && (a.OK() || b.OK()) || a.Rank != b.Rank || a.Status != b.Status || !slices.Equal(a.Top, b.Top) {
			t.Errorf("%s: %s is %v, want %v", what, name, b, a)
		}
	}
	for i, p := range want.Prompts {
		score(fmt.Sprintf("prompt %d", p.Index), p.Clean, got.Prompts[i].Clean)
		score(fmt.Sprintf("one-hop prompt %d", p.Index), p.Ceiling, got.Prompts[i].Ceiling)
	}
	for i, c := range want.Cells {
		g := got.Cells[i]
		if c.Prompt != g.Prompt || c.Layer != g.Layer || c.Tau != g.Tau || c.Source != g.Source || c.Memory != g.Memory {
			t.Fatalf("%s: cell %d is %+v, want %+v", what, i, g, c)
		}
		score(fmt.Sprintf("cell %d", i), c.Score, g.Score)
	}
}

// streamSites are the sites of the residual stream.
var streamSites = []models.PortKind{models.PortResidPre, models.PortAttnOut, models.PortMLPOut, models.PortResidPost}

// All plans compute the same numbers, for every memory, encoding and position.
func TestE03PlansAgree(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*Config)
	}{
		{"curated", func(*Config) {}},
		{"embed, raw, last position", func(c *Config) {
			c.Encoding, c.Convention, c.Positions = memory.EncodingEmbed, memory.ConventionRaw, intervention.LastPosition
		}},
		{"positions that one-hop prompts do not reach", func(c *Config) { c.Positions, _ = intervention.ParsePositions("7-8") }},
		{"layer, two layers", func(c *Config) { c.Encoding, c.Layers = memory.EncodingLayer, []int{1, 4} }},
		{"resid_pre", func(c *Config) { c.Sites = []models.PortKind{models.PortResidPre} }},
		{"mlp_out, last position", func(c *Config) {
			c.Sites, c.Positions = []models.PortKind{models.PortMLPOut}, intervention.LastPosition
		}},
		{"resid_post, two layers", func(c *Config) { c.Sites, c.Layers = []models.PortKind{models.PortResidPost}, []int{0, 5} }},
		{"all sites of the stream", func(c *Config) {
			c.Sites, c.Layers = streamSites, []int{1, 2}
		}},
		{"layer, two sites", func(c *Config) {
			c.Encoding, c.Layers, c.Sites = memory.EncodingLayer, []int{1, 4}, []models.PortKind{models.PortAttnOut, models.PortMLPOut}
		}},
		{"norm", func(c *Config) { c.TauUnit, c.Layers = steer.TauNorm, []int{0, 3} }},
		{"captured, added", func(c *Config) { c.Memories, c.Layers = []string{"captured", "captured:explicit_entity"}, []int{1, 3} }},
		{"scale", func(c *Config) {
			c.Op, c.Layers, c.Taus, c.Memories, c.Positions = intervention.Scale, []int{2}, []float64{0, 0.5, 1, 2}, nil, intervention.LastPosition
		}},
		{"back-patching", func(c *Config) {
			c.Op, c.Sites, c.Taus, c.Memories = intervention.Replace, []models.PortKind{models.PortResidPost}, []float64{1}, []string{"backpatch:4"}
			c.Positions = intervention.LastPosition
		}},
		{"ablate every site of the stream", func(c *Config) {
			c.Op, c.Sites, c.Layers, c.Taus, c.Memories = intervention.Ablate, streamSites, []int{1, 2}, nil, nil
		}},
		{"entity", func(c *Config) {
			c.Op, c.Sites, c.Layers, c.Taus = intervention.Replace, []models.PortKind{models.PortResidPre, models.PortResidPost}, []int{0, 2}, []float64{0.5, 1}
			c.Memories, c.Phrase = []string{"entity", "wrong:entity"}, true
		}},
		{"three sources", func(c *Config) {
			c.Memories, c.First = []string{"wrong", "random:" + filepath.Join(c.Model.Path, "words.txt"), "file:" + filepath.Join(c.Model.Path, "words.txt")}, 3
			c.Top = 0
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := world(t)
			tt.set(&c)
			var want *results.Run
			for _, plan := range []string{"points", "rows", "fanout", Auto} {
				c.Plan, c.Dir = plan, filepath.Join(t.TempDir(), plan)
				r, got := run(t, c)
				if plan == Auto && (r.Plan.Used != "fanout" || r.Plan.Reason != "") {
					t.Errorf("auto took %+v", r.Plan)
				}
				if want == nil {
					want = got
				}
				compare(t, plan, want, got)
			}
		})
	}
}

// Where the fan-out does not apply, the rows of a batch are what single runs compute.
func TestE03RowsAgree(t *testing.T) {
	texts := write(t, "texts.txt", "People in Japan speak\nThe capital of Peru is\n")
	for _, tt := range []struct {
		name string
		set  func(*Config)
	}{
		{"each head", func(c *Config) {
			c.Op, c.Sites, c.Heads, c.Layers, c.Taus, c.Memories = intervention.Ablate, []models.PortKind{models.PortZ}, []int{0, 2, 3}, []int{0, 4}, nil, nil
		}},
		{"ablate every site", func(c *Config) {
			c.Op, c.Sites, c.Layers, c.Taus, c.Memories = intervention.Ablate, models.Sites(), []int{1, 2}, nil, nil
		}},
		{"patch each head", func(c *Config) {
			c.Op, c.Sites, c.Heads, c.Layers, c.Taus, c.Memories = intervention.Replace, []models.PortKind{models.PortZ}, []int{1, 3}, []int{2, 5}, []float64{1}, []string{"captured"}
			c.Positions = intervention.LastPosition
		}},
		{"mean", func(c *Config) {
			c.Op, c.Sites, c.Layers, c.Taus, c.Memories = intervention.Replace, []models.PortKind{models.PortMLPOut, models.PortZ}, []int{0, 3}, []float64{1}, []string{"mean:" + texts}
		}},
		{"with another intervention", func(c *Config) {
			half := 0.5
			c.Layers = []int{1, 2}
			c.Also = []intervention.Entry{
				{Op: intervention.Ablate, Site: models.PortZ, Layers: "1", Heads: []int{2}},
				{Op: intervention.Scale, Layers: "2", Keep: &half},
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := world(t)
			c.Limit = 3
			tt.set(&c)
			var want *results.Run
			for _, plan := range []string{"points", "rows", Auto} {
				c.Plan, c.Dir = plan, filepath.Join(t.TempDir(), plan)
				r, got := run(t, c)
				if plan == Auto && (r.Plan.Used != "rows" || r.Plan.Reason != "") {
					t.Errorf("auto took %+v", r.Plan)
				}
				if want == nil {
					want = got
				}
				compare(t, plan, want, got)
			}
			c.Plan, c.Dir = "fanout", filepath.Join(t.TempDir(), "fanout")
			if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "does nothing else") {
				t.Errorf("fanout: %v", err)
			}
		})
	}
}

// A cell is what run says of one prompt with the same entries of an interventions file.
func TestCellsEqualEntries(t *testing.T) {
	zero, last := 4, "last"
	entry := func(op intervention.Op, x results.Cell, site models.PortKind) intervention.Entry {
		e := intervention.Entry{Op: op, Site: site, Layers: intervention.Layers(strconv.Itoa(x.Layer))}
		if h, one := x.Head.Index(); one {
			e.Heads = []int{h}
		}
		return e
	}
	for _, tt := range []struct {
		name  string
		set   func(*Config)
		entry func(results.Cell, results.Prompt) intervention.Entry
	}{
		{"ablate", func(c *Config) {
			c.Op, c.Sites, c.Heads, c.Taus, c.Memories = intervention.Ablate, []models.PortKind{models.PortZ}, []int{0, 1, 2, 3}, nil, nil
		}, func(x results.Cell, _ results.Prompt) intervention.Entry {
			return entry(intervention.Ablate, x, models.PortZ)
		}},
		{"scale", func(c *Config) {
			c.Op, c.Sites, c.Taus, c.Memories = intervention.Scale, []models.PortKind{models.PortMLPOut}, []float64{0, 3}, nil
		}, func(x results.Cell, _ results.Prompt) intervention.Entry {
			e := entry(intervention.Scale, x, models.PortMLPOut)
			e.Keep = &x.Tau
			return e
		}},
		{"captured", func(c *Config) {
			c.Op, c.Sites, c.Heads, c.Taus, c.Memories = intervention.Replace, []models.PortKind{models.PortZ}, []int{1, 2}, []float64{1, 0.5}, []string{"captured"}
			c.Positions = intervention.LastPosition
		}, func(x results.Cell, p results.Prompt) intervention.Entry {
			e := entry(intervention.Replace, x, models.PortZ)
			e.Tau, e.Memory, e.Positions = &x.Tau, &intervention.Memory{Captured: &intervention.Captured{Prompt: p.OneHop}}, last
			return e
		}},
		{"back-patching", func(c *Config) {
			c.Op, c.Sites, c.Taus, c.Memories = intervention.Replace, []models.PortKind{models.PortResidPost}, []float64{1}, []string{"backpatch:4"}
			c.Positions = intervention.LastPosition
		}, func(x results.Cell, p results.Prompt) intervention.Entry {
			e := entry(intervention.Replace, x, models.PortResidPost)
			e.Memory, e.Positions = &intervention.Memory{Captured: &intervention.Captured{Layer: &zero, Site: models.PortResidPost}}, last
			return e
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := world(t)
			c.Limit = 2
			tt.set(&c)
			_, got := run(t, c)
			m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			for i := 0; i < len(got.Cells); i += 5 {
				x := got.Cells[i]
				p := got.Prompts[x.Prompt]
				r, err := m.Run(t.Context(), steer.Query{Prompt: p.TwoHop, Answer: p.Answer, Top: 3, Entries: []intervention.Entry{tt.entry(x, p)}})
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(r.Answer.LogPInjected-x.LogP) > 1e-5 || r.Answer.RankInjected != x.Rank {
					t.Errorf("%v: log-probability %v, rank %d; run says %v, %d", x.Point(), x.LogP, x.Rank, r.Answer.LogPInjected, r.Answer.RankInjected)
				}
			}
		})
	}
}

// The manifest identifies the vectors of other interventions by their bytes and has no folder.
func TestAlsoVectors(t *testing.T) {
	c := world(t)
	path := filepath.Join(t.TempDir(), "v.safetensors")
	one := func(x float32) {
		v := make([]float32, 128)
		v[0] = x
		if err := vector.Write(path, &vector.Vector{Name: "v", Data: v}, true); err != nil {
			t.Fatal(err)
		}
	}
	one(1)
	c.Also = []intervention.Entry{{Op: intervention.Add, Layers: "2", Memory: &intervention.Memory{Vector: path + "#v"}}}
	c.Memories, c.Layers, c.Taus, c.Limit = []string{"none"}, []int{0}, []float64{0}, 1
	_, got := run(t, c)
	m := got.Manifest
	if m.Interventions[0].Memory.Vector != "v.safetensors#v" || len(m.InterventionFiles) != 1 || m.InterventionFiles[0].Name != "v.safetensors" {
		t.Errorf("%+v, %+v", m.Interventions, m.InterventionFiles)
	}
	if p := got.Prompts[0]; math.Abs(got.Cells[0].LogP-p.Clean.LogP) < 1e-6 {
		t.Error("the intervention had no effect")
	}
	if r, _ := run(t, c); r.Resumed != 1 {
		t.Errorf("%d prompts were read back", r.Resumed)
	}
	one(2)
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "another evaluation: intervention_files") {
		t.Errorf("another vector: %v", err)
	}
}

// A mean is the mean of the values at all tokens but the beginning-of-text token.
func TestMean(t *testing.T) {
	c := world(t)
	texts := []string{"People in Japan speak", "The capital of Peru is"}
	c.Op, c.Layers, c.Taus, c.Memories = intervention.Replace, []int{2}, []float64{1}, []string{"mean:" + write(t, "texts.txt", strings.Join(texts, "\n"))}
	c.Limit = 1
	_, got := run(t, c)
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	mean, n := make([]float32, m.Layout.DModel), 0
	for _, text := range texts {
		ids, err := m.Prompt(text)
		if err != nil {
			t.Fatal(err)
		}
		values, err := m.Values(t.Context(), ids, []models.BakedAt{{Site: models.DefaultSite, Layer: 2}})
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range values[0][m.Layout.DModel:] {
			mean[i%m.Layout.DModel] += x
		}
		n += len(ids) - 1
	}
	for i := range mean {
		mean[i] /= float32(n)
	}
	p := got.Prompts[0]
	r, err := m.Run(t.Context(), steer.Query{Prompt: p.TwoHop, Answer: p.Answer, Changes: intervention.Plan{{Site: models.DefaultSite, Layer: 2, Tau: 1, Vector: mean}}})
	if err != nil {
		t.Fatal(err)
	}
	if x := got.Cells[0]; math.Abs(r.Answer.LogPInjected-x.LogP) > 1e-5 {
		t.Errorf("log-probability %v, want %v", x.LogP, r.Answer.LogPInjected)
	}
}

// The cells of a file without memories equal the clean run, and so do those of tau 0.
func TestE01NothingChangesNothing(t *testing.T) {
	c := world(t)
	c.Memories = []string{"none", "curated"}
	c.Taus = []float64{0, 2}
	_, got := run(t, c)
	for _, cell := range got.Cells {
		clean := got.Prompts[cell.Prompt].Clean
		if same := math.Abs(cell.LogP-clean.LogP) < 1e-5; same != (cell.Tau == 0 || cell.Source == "none") {
			t.Errorf("%s, layer %d, tau %v: %v, clean %v", cell.Source, cell.Layer, cell.Tau, cell.LogP, clean.LogP)
		}
	}
}

// A memory that can have no effect is reported, whether it is a text or a vector.
func TestFaint(t *testing.T) {
	c := world(t)
	path := filepath.Join(t.TempDir(), "zero.safetensors")
	if err := vector.Write(path, &vector.Vector{Name: "zero", Data: make([]float32, 128)}, false); err != nil {
		t.Fatal(err)
	}
	c.Memories, c.Limit = []string{"curated", "file:" + path, "file:" + write(t, "untold.txt", "\x01\n")}, 2
	r, _ := run(t, c)
	if want := []string{"zero", "\x01"}; !slices.Equal(r.Faint, want) {
		t.Errorf("faint: %q, want %q", r.Faint, want)
	}
}

// A vector of another model is refused before the folder is created.
func TestVectorOfAnotherModel(t *testing.T) {
	c := world(t)
	path := filepath.Join(t.TempDir(), "narrow.safetensors")
	if err := vector.Write(path, &vector.Vector{Name: "narrow", Data: []float32{1, 2}}, false); err != nil {
		t.Fatal(err)
	}
	c.Memories = []string{"file:" + path}
	_, err := Run(context.Background(), orttest.Host(t), c)
	if err == nil || err.Error() != `memory "narrow": the vector has 2 numbers, d_model is 128` {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder exists: %v", err)
	}
}

// A cell holds the result of a single run of its prompt.
func TestCellsEqualSteer(t *testing.T) {
	c := world(t)
	_, got := run(t, c)
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := 0; i < len(got.Cells); i += 7 {
		cell := got.Cells[i]
		p := got.Prompts[cell.Prompt]
		r, err := m.Run(context.Background(), steer.Query{
			Prompt: p.TwoHop, Answer: p.Answer, Top: 3,
			Entries: []intervention.Entry{intervention.AddText(cell.Memory, cell.Layer, cell.Tau, c.Encoding, c.Convention)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.Answer.LogPInjected-cell.LogP) > 1e-5 || r.Answer.RankInjected != cell.Rank || math.Abs(r.Answer.LogPClean-p.Clean.LogP) > 1e-5 || r.Injected[2].ID != cell.Top[2] {
			t.Errorf("cell %d: %+v, run says %+v", i, cell, r.Answer)
		}
	}
}

// A cell at another site is what run says of one prompt with that memory.
func TestSite(t *testing.T) {
	c := world(t)
	c.Sites, c.Layers, c.Taus = []models.PortKind{models.PortResidPost}, []int{1, 4}, []float64{0.5, 2}
	_, got := run(t, c)
	if !slices.Equal(got.Manifest.Sites, c.Sites) {
		t.Errorf("the manifest has sites %v", got.Manifest.Sites)
	}
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := 0; i < len(got.Cells); i += 3 {
		cell := got.Cells[i]
		p := got.Prompts[cell.Prompt]
		e := intervention.AddText(cell.Memory, cell.Layer, cell.Tau, c.Encoding, c.Convention)
		e.Site = c.Sites[0]
		r, err := m.Run(t.Context(), steer.Query{Prompt: p.TwoHop, Answer: p.Answer, Top: 3, Entries: []intervention.Entry{e}})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.Answer.LogPInjected-cell.LogP) > 1e-5 || r.Answer.RankInjected != cell.Rank {
			t.Errorf("cell %d: %+v, run says %+v", i, cell, r.Answer)
		}
	}
	c.Sites = []models.PortKind{models.PortZ}
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "a text becomes a vector of the residual stream") {
		t.Errorf("site z: %v", err)
	}
}

// The shards together are the whole.
func TestShards(t *testing.T) {
	c := world(t)
	_, whole := run(t, c)
	var parts []*results.Run
	for i := range 4 {
		c.Shard, c.Dir = results.Shard{Index: i, Of: 4}, filepath.Join(t.TempDir(), "part")
		_, part := run(t, c)
		parts = append(parts, part)
	}
	c.Shard, c.Dir = results.Shard{Index: 7, Of: 9}, filepath.Join(t.TempDir(), "none") // of 6 prompts
	for range 2 {
		if r, part := run(t, c); r.Prompts != 0 || len(part.Prompts) != 0 {
			t.Errorf("a shard without prompts: %+v", r)
		}
	}
	merged, err := results.Merge(parts)
	if err != nil || len(merged) != 1 {
		t.Fatalf("%d runs, %v", len(merged), err)
	}
	compare(t, "shards", whole, merged[0])
}

// An interruption finishes the prompt; the same call resumes and ends with the same bytes.
func TestInterrupted(t *testing.T) {
	c := world(t)
	run(t, c)
	whole := c.Dir
	c.Dir = filepath.Join(t.TempDir(), "parts")
	cause := errors.New("enough")
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancelCause(context.Background())
		c.Progress = func(p Progress) {
			if p.Stage == Running && p.Done == 2*n {
				cancel(cause)
			}
		}
		r, err := Run(ctx, orttest.Host(t), c)
		if err == nil {
			if n == 3 { // the last prompt was done when the interruption came
				continue
			}
			if n != 4 || r.Resumed != 6 || r.Done != 0 {
				t.Errorf("call %d: %+v", n, r)
			}
			break
		}
		if !errors.Is(err, cause) || r.Resumed+r.Done != 2*n {
			t.Fatalf("call %d: %v, %+v", n, err, r)
		}
	}
	for _, name := range []string{results.ManifestFile, results.CellsFile, results.PromptsFile, results.SummaryFile} {
		a, err1 := os.ReadFile(filepath.Join(whole, name))
		b, err2 := os.ReadFile(filepath.Join(c.Dir, name))
		if string(a) != string(b) || err1 != nil || err2 != nil {
			t.Errorf("%s differs", name)
		}
	}
}

// A model whose numbers depend on the batch runs cell by cell, and the plan gives the reason.
func TestAutoFallsBack(t *testing.T) {
	c := world(t)
	b := bench{host: orttest.Host(t), options: c.Options, op: intervention.Add, sites: []models.PortKind{models.DefaultSite}}
	for layer := range 3 {
		b.places = append(b.places, models.BakedAt{Site: models.DefaultSite, Layer: layer})
	}
	var err error
	if b.model, err = steer.New(t.Context(), b.host, c.Model, c.Options); err != nil {
		t.Fatal(err)
	}
	defer func(was []plan) { plans = was }(plans)
	off := plans[0]
	plans = slices.Clone(plans)
	plans[0].open = func(ctx context.Context, b bench) (runner, error) {
		r, err := off.open(ctx, b)
		return shifted{r}, err
	}
	plans[1].open = func(context.Context, bench) (runner, error) { return nil, errors.New("the batch is fixed") }
	ids, err := b.model.Prompt("People in Japan speak")
	if err != nil {
		t.Fatal(err)
	}
	r, p, err := choose(context.Background(), b, question{ids: ids, answer: 5}, []cell{{BakedAt: b.places[1], tau: 2}, {BakedAt: b.places[2], tau: 3}}, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	want := "not fanout: a log-probability differs from points by 0.01, more than 0.0001; not rows: the batch is fixed"
	if p.Used != "points" || p.Reason != want {
		t.Errorf("took %+v", p)
	}
}

// Auto samples cells that have a memory.
func TestSample(t *testing.T) {
	grid := func(layers []int, taus []float64, vectors ...[]float32) (cells []cell) {
		for _, v := range vectors {
			for _, l := range layers {
				for _, tau := range taus {
					cells = append(cells, cell{BakedAt: models.BakedAt{Layer: l}, tau: tau, vector: v})
				}
			}
		}
		return cells
	}
	memory := []float32{1}
	for _, tt := range []struct {
		name    string
		layers  []int
		taus    []float64
		vectors [][]float32
		want    []int
	}{
		{"another tau for each layer", []int{0, 2}, []float64{1, 2}, [][]float32{memory}, []int{0, 3}},
		{"tau 0", []int{6}, []float64{0, 1}, [][]float32{memory}, []int{1}},
		{"none first", []int{0, 2}, []float64{1, 2}, [][]float32{nil, memory}, []int{4, 7}},
		{"none alone", []int{0, 2}, []float64{0}, [][]float32{nil}, []int{0, 1}},
	} {
		b := bench{op: intervention.Add}
		for _, l := range tt.layers {
			b.places = append(b.places, models.BakedAt{Layer: l})
		}
		if got := sample(b, grid(tt.layers, tt.taus, tt.vectors...)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// shifted is a runner whose numbers depend on the rest of the batch, as with dynamic quantisation.
type shifted struct{ runner }

func (s shifted) run(ctx context.Context, q question, cells []cell) (results.Score, []results.Score, error) {
	clean, scores, err := s.runner.run(ctx, q, cells)
	if len(cells) > 1 {
		for i := range scores {
			scores[i].LogP += 0.01
		}
	}
	return clean, scores, err
}

func TestRunRefuses(t *testing.T) {
	bad := func(text string) func(c *Config) {
		return func(c *Config) { c.Data = write(t, "d.csv", "prompt,answer,memory\n"+text+"\n") }
	}
	tests := []struct {
		name string
		set  func(c *Config)
		want string
	}{
		{"long prompt", bad(strings.Repeat("People in Japan speak ", 60) + ",a,m"), `prompt 0: prompt of 242 tokens, the model's context is 64`},
		{"an answer with its space", bad("a, b,c"), `prompt 0: answer " b" begins with a space, and the program adds another`},
		{"no memory", bad("a,b,"), `memory "curated": prompt 0 has none`},
		{"tau", func(c *Config) { c.Taus = []float64{1, 1e39} }, "want a number that float32 can hold, got 1e+39"},
		{"tau twice", func(c *Config) { c.Taus = []float64{1, 2, 1} }, "tau 1 was given twice"},
		{"memory twice", func(c *Config) { c.Memories = []string{"none", "none"} }, `memory "none" was given twice`},
		{"two files of one name", func(c *Config) {
			c.Memories = []string{"random:" + filepath.Join(c.Model.Path, "words.txt"), "random:" + write(t, "words.txt", "a\n")}
		}, `memory "random:words.txt" was given twice`},
		{"layer", func(c *Config) { c.Layers = []int{6} }, "layer 6, the model has 0 to 5"},
		{"plan", func(c *Config) { c.Plan = "fast" }, `plan "fast": want one of auto, fanout, rows, points`},
		{"top", func(c *Config) { c.Top = 5000 }, "want the 5000 likeliest tokens, but the vocabulary has 1417"},
		{"positions", func(c *Config) { c.Positions, _ = intervention.ParsePositions("40-50") }, "prompt 0: positions 40-50, the prompt has tokens 0 to"},
		{"shard", func(c *Config) { c.Shard = results.Shard{Index: 3, Of: 2} }, "shard 3 of 2"},
	}
	for _, tt := range tests {
		c := world(t)
		tt.set(&c)
		_, err := Run(context.Background(), orttest.Host(t), c)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if _, err := os.Stat(c.Dir); err == nil {
			t.Errorf("%s: the folder was created", tt.name)
		}
	}
}
