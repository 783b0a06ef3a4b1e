package steer

import (
	"context"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

const answer = int64(17)

// A fan-out graph of every float32 fixture gives, in one run, what PyTorch gives in a run for each cell. The first prompt has one
// tau a cell, the second one for each position, and cells of the last position among them.
func TestFanOutAgainstPyTorch(t *testing.T) {
	for _, c := range fixtures(t) {
		if c.Atol > 1e-4 || c.First {
			continue
		}
		for _, form := range forms {
			m, l := form.of(t, c.File)
			if m == nil {
				continue
			}
			name := strings.TrimSuffix(c.File, ".onnx") + form.name
			t.Run(name, func(t *testing.T) {
				var ref reference
				readJSON(t, filepath.Join(testdata, c.Ref), &ref)
				top := 5
				in, _, err := rewrite.FanOut(t.Context(), m, l, rewrite.Grid{Sites: []models.PortKind{models.DefaultSite}, Top: top})
				if err != nil {
					t.Fatal(err)
				}
				ctx := context.Background()
				s, err := runtime.OpenGraph(ctx, orttest.Host(t), m, runtime.Options{Threads: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				for prompt := range ref.InputIDs {
					checkFanOut(t, s, in, l, ref, prompt, top)
				}
			})
		}
	}
}

// attnOut is attn_out of a layer.
func attnOut(layer int) models.BakedAt { return models.BakedAt{Site: models.PortAttnOut, Layer: layer} }

// openModel opens a fixture for one test.
func openModel(t *testing.T, file string) *Model {
	t.Helper()
	d, err := decoder.Open(filepath.Join(testdata, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	m, err := New(t.Context(), orttest.Host(t), d, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// streamSites are the sites at which a fan-out can grow.
var streamSites = []models.PortKind{models.PortResidPre, models.PortAttnOut, models.PortMLPOut, models.PortResidPost}

// A fan-out at each site of the stream, and at all of them together, gives what single runs of the patched model give, or is
// refused for a reason that is listed here.
func TestFanOutSites(t *testing.T) {
	const folded = `fan-out: Add "node_add_5" reads the stream as "linear_5", whose first axis holds more than rows, so rows cannot be added`
	refused := map[string]string{
		"families/dynamo18-opt.onnx [mlp_out]":                               folded,
		"families/dynamo18-opt.onnx [resid_pre attn_out mlp_out resid_post]": folded,
	}
	shared := 0
	defer func() {
		if shared < 15 {
			t.Errorf("%d files shared a prefix, want at least 15", shared)
		}
	}()
	for _, c := range fixtures(t) {
		if c.Atol > 1e-4 || c.First {
			continue
		}
		t.Run(strings.TrimSuffix(c.File, ".onnx"), func(t *testing.T) {
			m := openModel(t, c.File)
			ids := []int64{5, 3, 11, 7, 2}
			late, err := intervention.ParsePositions("2-3")
			if err != nil {
				t.Fatal(err)
			}
			var changes intervention.Plan
			x := 0.0
			for layer, l := range m.Layout.Bodies[0].Layers {
				for _, site := range streamSites {
					if site.Intervention().Missing(l) != "" {
						continue
					}
					for i, at := range []intervention.Positions{intervention.AllPositions, late, intervention.LastPosition} {
						v := make([]float32, m.Layout.DModel)
						for i := range v {
							x++
							v[i] = float32(math.Sin(1.3 * x))
						}
						keep := []float64{1, 0, 0.4}[(layer+i)%3]
						changes = append(changes, intervention.Change{Site: site, Layer: layer, Keep: keep, Tau: 1.5, Vector: v, Positions: at})
					}
				}
			}
			b, err := m.Batch(t.Context(), changes)
			if err != nil {
				t.Fatal(err)
			}
			var want []float64
			for _, change := range changes {
				logits, err := b.Rows(t.Context(), ids, []intervention.Plan{{change}})
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, LogSoftmax(logits[0])[answer])
			}
			if sharedRows(t, b, ids, changes, want) {
				shared++
			}
			if err := m.Unload(); err != nil {
				t.Fatal(err)
			}
			grids := []rewrite.Grid{{Sites: streamSites, Keep: true}, {Sites: streamSites, Keep: true, Cache: true}}
			for i := range streamSites {
				grids = append(grids, rewrite.Grid{Sites: streamSites[i : i+1], Keep: true, Cache: true})
			}
			for _, g := range grids {
				name := fmt.Sprint(c.File, " ", g.Sites)
				if err := fannedOut(t, m, ids, g, changes, want); err != nil && refused[name] != err.Error() {
					t.Errorf("%q: %q,", name, err.Error())
				}
			}
		})
	}
}

// sharedRows requires rows that share the positions before the first change to be what whole runs gave.
func sharedRows(t *testing.T, b *Batch, ids []int64, changes intervention.Plan, want []float64) (shared bool) {
	t.Helper()
	b.Share = true
	defer func() { b.Share = false }()
	for first, last := 0, len(changes)-1; first < len(changes); first++ { // two rows at once, of two places
		if changes[first].Positions != intervention.LastPosition {
			continue
		}
		for changes[last].Positions != intervention.LastPosition {
			last--
		}
		logits, err := b.Rows(t.Context(), ids, []intervention.Plan{changes[first : first+1], changes[last : last+1]})
		if err != nil {
			t.Fatal(err)
		}
		for row, i := range []int{first, last} {
			if got := LogSoftmax(logits[row])[answer]; !(math.Abs(got-want[i]) <= 2e-5) {
				t.Errorf("shared: %s@%d: log-probability %g, want %g", changes[i].Site, changes[i].Layer, got, want[i])
			}
		}
	}
	return len(b.prefix.ids) == len(ids)-1 && len(b.prefix.past) > 0
}

// fannedOut runs the changes of a grid in fan-outs, and compares the log-probability of the answer for each. The changes of each
// position are one run, so that those of later positions share what comes before where there is a cache.
func fannedOut(t *testing.T, m *Model, ids []int64, g rewrite.Grid, changes intervention.Plan, want []float64) error {
	t.Helper()
	f, err := m.Fan(t.Context(), g)
	if err != nil {
		return err
	}
	defer f.Close()
	byPosition := map[intervention.Positions][]int{}
	for i, c := range changes {
		if slices.Contains(g.Sites, c.Site) {
			byPosition[c.Positions] = append(byPosition[c.Positions], i)
		}
	}
	for at, list := range byPosition {
		var cells []intervention.Plan
		for _, i := range list {
			cells = append(cells, changes[i:i+1])
		}
		_, rows, err := f.Run(t.Context(), ids, answer, cells)
		if err != nil {
			return err
		}
		for row, i := range list {
			if c := changes[i]; !(math.Abs(rows[row].LogP-want[i]) <= 2e-5) {
				t.Errorf("%+v: %s@%d at %v, keep %g: log-probability %g, want %g", g, c.Site, c.Layer, at, c.Keep, rows[row].LogP, want[i])
			}
		}
	}
	return nil
}

// A cell that the rows cannot have is refused: a part of it would be left out without a trace.
func TestFanRefuses(t *testing.T) {
	m := openModel(t, "torchscript-op10.onnx")
	f, err := m.Fan(t.Context(), rewrite.Grid{Sites: []models.PortKind{models.PortAttnOut}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := func(site models.PortKind, layer int, keep float64) intervention.Change {
		return intervention.Change{Site: site, Layer: layer, Keep: keep, Tau: 1, Vector: make([]float32, m.Layout.DModel)}
	}
	short := at(models.PortAttnOut, 0, 1)
	short.Vector = short.Vector[1:]
	for want, plan := range map[string]intervention.Plan{
		"no rows at mlp_out of layer 1":                                              {at(models.PortMLPOut, 1, 1)},
		"want changes at one place, got attn_out of layer 0 and attn_out of layer 1": {at(models.PortAttnOut, 0, 1), at(models.PortAttnOut, 1, 1)},
		"a factor of 0.5, but the grid has none":                                     {at(models.PortAttnOut, 1, 0.5)},
		"a memory of 31 numbers at attn_out, want 32":                                {short},
	} {
		_, _, err := f.Run(t.Context(), []int64{1, 2}, answer, []intervention.Plan{{at(models.PortAttnOut, 0, 1)}, plan})
		if err == nil || err.Error() != "fan-out: cell 1: "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// forms are the fixtures as they are, and in forms that none of them has but other exporters write. A change reports whether the
// file is one that it can be made in.
var forms = []form{
	{"", nil},
	{" tied", tie},
	{" fused end", fuseEnd},
	{" only last", onlyLast},
	{" choices", choices},
	{" cache in the operator", cacheInside},
}

type form struct {
	name   string
	change func(e *graph.Edit, m *graph.Model, l *models.Layout) bool
}

// of loads a fixture in the form, nil if it cannot have it.
func (f form) of(t *testing.T, file string) (*graph.Model, *models.Layout) {
	t.Helper()
	m, l := located(t, file)
	if f.change == nil {
		return m, l
	}
	e := m.Edit()
	if !f.change(e, m, l) {
		return nil, nil
	}
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	return m, locate(t, m)
}

// onlyLast makes logits [batch, vocab], as exports of code that generates text have them.
func onlyLast(e *graph.Edit, m *graph.Model, l *models.Layout) bool {
	n := l.Unembed.Node
	if n.Graph() != m.Graph || !n.Is("MatMul") || l.Logits() != n.Out(0) {
		return false
	}
	last := e.Const(m.Graph, "last", graph.NewInt64([]int64{-1}))
	cut := e.Node(m.Graph, graph.Spec{Op: "Gather", Name: "only_last", Attrs: graph.Attrs{"axis": 1}, Inputs: []*graph.Value{n.In(0), last}})
	e.Redirect(graph.Use{Node: n, Slot: 0}, cut)
	e.Retype(l.Logits(), graph.TensorType(graph.Float32, "batch", l.Vocab))
	return true
}

// choices makes logits [batch, choice, pos, vocab], as a model with a head for multiple choice gives them.
func choices(e *graph.Edit, m *graph.Model, l *models.Layout) bool {
	n := l.Unembed.Node
	if n.Graph() != m.Graph || !n.Is("MatMul") || l.Logits() != n.Out(0) {
		return false
	}
	shape := e.Const(m.Graph, "choices_shape", graph.NewInt64([]int64{0, 1, -1, int64(l.DModel)}, 4))
	wide := e.Node(m.Graph, graph.Spec{Op: "Reshape", Name: "choices", Inputs: []*graph.Value{n.In(0), shape}})
	e.Redirect(graph.Use{Node: n, Slot: 0}, wide)
	e.Retype(l.Logits(), graph.TensorType(graph.Float32, "batch", "choice", "pos", l.Vocab))
	return true
}

// cacheInside gives the standard attention operator earlier keys and values, and its present ones out.
func cacheInside(e *graph.Edit, m *graph.Model, l *models.Layout) bool {
	for _, layer := range l.Bodies[0].Layers {
		n := layer.Core
		if !n.Is("Attention") {
			return false
		}
		ins := []*graph.Value{n.In(0), n.In(1), n.In(2), n.In(3)}
		t := graph.TensorType(graph.Float32, "batch", l.Heads, "past", l.DHead)
		for _, what := range []string{"key", "value"} {
			ins = append(ins, e.Input(fmt.Sprintf("past.%d.%s", layer.Index, what), t))
		}
		z := e.Node(m.Graph, graph.Spec{Op: "Attention", Name: "cached", Inputs: ins, Outputs: 3, Type: n.Out(0).Type()})
		for _, u := range n.Out(0).Uses() {
			e.Redirect(u, z)
		}
		for i := 1; i < 3; i++ {
			e.Output(m.Graph, z.Producer().Out(i))
			e.Retype(z.Producer().Out(i), graph.TensorType(graph.Float32, "batch", l.Heads, "all", l.DHead))
		}
	}
	return true
}

// tie makes the unembedding read the table of embeddings, where it holds the same numbers.
func tie(e *graph.Edit, m *graph.Model, l *models.Layout) bool {
	n := l.Unembed.Node
	if !n.Is("MatMul") || n.In(1).Const() == nil || n.Graph() != m.Graph || !transposed(l.Embed.Store, n.In(1).Const()) {
		return false
	}
	i := slices.IndexFunc(m.Graph.Initializers(), func(v *graph.Value) bool { return v.Const() == l.Embed.Store })
	table := m.Graph.Initializers()[i]
	turned := e.Node(m.Graph, graph.Spec{Op: "Transpose", Name: "tied", Inputs: []*graph.Value{table}, Attrs: graph.Attrs{"perm": []int64{1, 0}}})
	e.Redirect(graph.Use{Node: n, Slot: 1}, turned)
	return true
}

// transposed reports whether one matrix is another one, transposed.
func transposed(a, b *graph.Const) bool {
	x, y := numbers(a), numbers(b)
	if x == nil || len(x) != len(y) || len(a.Dims) != 2 || a.Dims[0] != b.Dims[1] {
		return false
	}
	rows, columns := int(a.Dims[0]), int(a.Dims[1])
	for i := range x {
		if x[i] != y[i%columns*rows+i/columns] {
			return false
		}
	}
	return true
}

func numbers(c *graph.Const) []float32 {
	if c == nil {
		return nil
	}
	t, err := c.Load()
	if err != nil {
		return nil
	}
	x, err := t.Float32s()
	if err != nil {
		return nil
	}
	return x
}

// fuseEnd makes one SkipLayerNormalization of the end of the last block, where it is parallel, and of ln_f.
func fuseEnd(e *graph.Edit, m *graph.Model, l *models.Layout) bool {
	last := l.Bodies[0].Layers[l.Layers-1]
	if len(last.ResidMid) > 0 {
		return false
	}
	end, norm := last.ResidPost[0].Producer(), l.Bodies[0].Norm
	fused := e.Node(m.Graph, graph.Spec{
		Op: "SkipLayerNormalization", Domain: "com.microsoft", Name: "fused", Attrs: graph.Attrs{"epsilon": norm.Eps},
		Inputs: []*graph.Value{end.In(0), end.In(1), norm.Gamma, norm.Beta},
	})
	for _, u := range norm.Out.Uses() {
		e.Redirect(u, fused)
	}
	return true
}

func checkFanOut(t *testing.T, s runtime.Session, in *inputs.Signature, l *models.Layout, ref reference, prompt, top int) {
	t.Helper()
	feeds, err := in.Feeds(ref.InputIDs[prompt : prompt+1])
	if err != nil {
		t.Fatal(err)
	}
	feeds[rewrite.FanOutAnswer] = graph.NewInt64([]int64{answer}, 1)
	want := [][]float64{ref.lastLogits(ref.Logits, prompt)}
	taus := 1
	if prompt > 0 {
		taus = len(ref.InputIDs[prompt])
	}
	for layer := range l.Layers {
		var memory, tau []float32
		for _, inj := range ref.Injected {
			if inj.site() != models.DefaultSite || !slices.Equal(inj.Layers, []int{layer}) || inj.Positions == "last" && taus == 1 {
				continue
			}
			memory = append(memory, narrow(ref.Memory[inj.Memory].Data)...)
			schedule := make([]float32, taus)
			for i := range schedule {
				if i == taus-1 || inj.Positions != "last" {
					schedule[i] = float32(inj.Tau)
				}
			}
			tau = append(tau, schedule...)
			want = append(want, ref.lastLogits(inj.Logits, prompt))
		}
		k := int64(len(tau) / taus)
		feeds[rewrite.FanOutMemory(attnOut(layer))] = graph.NewFloat32(memory, k, 1, int64(l.DModel))
		feeds[rewrite.FanOutTau(attnOut(layer))] = graph.NewFloat32(tau, k, int64(taus), 1)
	}
	out, err := s.Run(context.Background(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	logp, _ := out[rewrite.FanOutLogP].Float32s()
	rank, _ := out[rewrite.FanOutRank].Int64s()
	ids, _ := out[rewrite.FanOutTop].Int64s()
	if len(logp) != len(want) || len(rank) != len(want) || len(ids) != len(want)*top {
		t.Fatalf("%d rows, want %d", len(logp), len(want))
	}
	for i, logits := range want {
		x := narrow(logits)
		order := make([]int64, len(logits))
		for j := range order {
			order[j] = int64(j)
		}
		if d := math.Abs(LogSoftmax(x)[answer] - float64(logp[i])); !(d <= 1e-5) {
			t.Errorf("prompt %d, row %d: log-probability differs by %g", prompt, i, d)
		}
		if got := Rank(x, answer); int64(got) != rank[i] {
			t.Errorf("prompt %d, row %d: rank %d, want %d", prompt, i, rank[i], got)
		}
		slices.SortFunc(order, func(a, b int64) int {
			if logits[a] != logits[b] {
				return int(math.Copysign(1, logits[b]-logits[a]))
			}
			return int(a - b)
		})
		if got := ids[i*top : (i+1)*top]; fmt.Sprint(got) != fmt.Sprint(order[:top]) {
			t.Errorf("prompt %d, row %d: top tokens %v, want %v", prompt, i, got, order[:top])
		}
	}
}

// lastLogits cuts the last position of one prompt out of logits [batch, pos, vocab].
func (r reference) lastLogits(a array, prompt int) []float64 {
	pos, vocab := int(a.Shape[1]), int(a.Shape[2])
	end := (prompt + 1) * pos * vocab
	return a.Data[end-vocab : end]
}

// A memory that the file itself has in the last layer may be at any position. The reference is PyTorch where it has the site,
// and else the file without a fan-out.
func TestFanOutOfPatched(t *testing.T) {
	var ref reference
	readJSON(t, filepath.Join(testdata, "ref_gpt2.json"), &ref)
	for _, site := range models.Sites() {
		m, l := located(t, "torchscript-op10.onnx")
		last := []int{l.Layers - 1}
		_, l, err := rewrite.Apply(t.Context(), m, l, rewrite.Request{Inject: []rewrite.Inject{{Site: site, Layers: last}}})
		if err != nil {
			t.Fatal(err)
		}
		if s := site; s != models.PortAttnOut && s != models.PortMLPOut {
			checkFanOutOfSteered(t, m, l, ref.InputIDs[:1], site, last[0])
			continue
		}
		at := slices.IndexFunc(ref.Injected, func(inj injected) bool {
			return inj.site() == site && inj.Positions == "last" && slices.Equal(inj.Layers, last)
		})
		if at < 0 {
			t.Fatalf("%s: no injection at the last position of the last layer", site)
		}
		inj, feeds := ref.Injected[at], map[string]*graph.Tensor{}
		inj.feed(feeds, ref, int64(len(ref.InputIDs[0])))
		got := cleanLogP(t, m, l, ref.InputIDs[:1], feeds)
		if want := LogSoftmax(narrow(ref.lastLogits(inj.Logits, 0)))[answer]; !(math.Abs(got-want) <= 1e-5) {
			t.Errorf("%s: log-probability %g, want %g", site, got, want)
		}
	}
}

// checkFanOutOfSteered compares the fan-out graph of a patched model with the patched model.
func checkFanOutOfSteered(t *testing.T, m *graph.Model, l *models.Layout, ids [][]int64, site models.PortKind, layer int) {
	t.Helper()
	in, err := inputs.Read(m, l)
	if err != nil {
		t.Fatal(err)
	}
	x := float32(0)
	feeds := map[string]*graph.Tensor{
		site.Input(models.PortMemory).Name(layer): site.Input(models.PortMemory).Fill(l, func() float32 { x++; return x / 16 }),
		site.Input(models.PortTau).Name(layer):    site.Input(models.PortTau).Fill(l, func() float32 { return 2 }),
	}
	logits, err := run(t, m, in, ids, feeds)[l.Logits().Name()].Float32s()
	if err != nil {
		t.Fatal(err)
	}
	want := LogSoftmax(logits[len(logits)-l.Vocab:])[answer]
	if got := cleanLogP(t, m, l, ids, feeds); !(math.Abs(got-want) <= 1e-5) {
		t.Errorf("%s: log-probability %g, want %g", site, got, want)
	}
}

// The only layer is the last one: what it computes of z is in front of the first join.
func TestFanOutOfOneLayer(t *testing.T) {
	var ref reference
	readJSON(t, filepath.Join(testdata, "ref_gpt2.json"), &ref)
	m, l := located(t, "torchscript-op10.onnx")
	layers := l.Bodies[0].Layers
	e := m.Edit()
	for _, v := range m.Graph.Outputs() {
		if v != l.Logits() {
			e.RemoveOutput(m.Graph, v)
		}
	}
	for _, u := range layers[len(layers)-1].ResidPre[0].Uses() {
		e.Redirect(u, layers[0].ResidPre[0])
	}
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, nil)
	if err != nil || l.Layers != 1 {
		t.Fatalf("%+v (%v), want one layer", l, err)
	}
	in, err := inputs.Read(m, l)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := run(t, m, in, ref.InputIDs[:1], nil)[l.Logits().Name()].Float32s()
	if err != nil {
		t.Fatal(err)
	}
	want := LogSoftmax(logits[len(logits)-l.Vocab:])[answer]
	if got := cleanLogP(t, m, l, ref.InputIDs[:1], nil); !(math.Abs(got-want) <= 1e-5) {
		t.Errorf("log-probability %g, want %g", got, want)
	}
}

func located(t *testing.T, file string) (*graph.Model, *models.Layout) {
	t.Helper()
	m, err := graph.Load(filepath.Join(testdata, file))
	if err != nil {
		t.Fatal(err)
	}
	return m, locate(t, m)
}

// locate recognises a model that may have been changed, with what its folder says.
func locate(t *testing.T, m *graph.Model) *models.Layout {
	t.Helper()
	f, err := folder.Open(m.Path())
	if err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, f.Config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// cleanLogP makes the fan-out graph of a model and runs it without cells.
func cleanLogP(t *testing.T, m *graph.Model, l *models.Layout, ids [][]int64, more map[string]*graph.Tensor) float64 {
	t.Helper()
	in, _, err := rewrite.FanOut(t.Context(), m, l, rewrite.Grid{Sites: []models.PortKind{models.DefaultSite}})
	if err != nil {
		t.Fatal(err)
	}
	feeds := map[string]*graph.Tensor{rewrite.FanOutAnswer: graph.NewInt64([]int64{answer}, 1)}
	for layer := range l.Layers {
		feeds[rewrite.FanOutMemory(attnOut(layer))] = graph.NewFloat32(nil, 0, 1, int64(l.DModel))
		feeds[rewrite.FanOutTau(attnOut(layer))] = graph.NewFloat32(nil, 0, 1, 1)
	}
	maps.Copy(feeds, more)
	logp, err := run(t, m, in, ids, feeds)[rewrite.FanOutLogP].Float32s()
	if err != nil || len(logp) != 1 {
		t.Fatalf("log-probabilities %v (%v), want one", logp, err)
	}
	return float64(logp[0])
}

// run feeds a model a prompt, and more.
func run(t *testing.T, m *graph.Model, in *inputs.Signature, ids [][]int64, more map[string]*graph.Tensor) map[string]*graph.Tensor {
	t.Helper()
	ctx := context.Background()
	s, err := runtime.OpenGraph(ctx, orttest.Host(t), m, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	feeds, err := in.Feeds(ids)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(feeds, more)
	out, err := s.Run(ctx, feeds)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i := range x {
		out[i] = float32(x[i])
	}
	return out
}
