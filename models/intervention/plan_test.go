package intervention

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// A file is read into entries, and an entry is written as it was read.
func TestParse(t *testing.T) {
	const file = `[
		{"site": "resid_post", "layers": [0, 2], "op": "replace", "memory": {"captured": {"prompt": "p", "position": "-2", "layer": 1, "site": "resid_pre"}}, "positions": "last"},
		{"layers": 7, "op": "add", "memory": {"text": " Peru", "encoding": "embed", "convention": "raw"}, "tau": 2, "when": "prompt"},
		{"site": "z", "layers": "all", "heads": [1, 3], "op": "scale", "keep": 0.5},
		{"site": "mlp_out", "layers": "-1", "op": "ablate", "when": "generated"}]`
	entries, err := Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, e := range entries {
		said = append(said, e.String())
	}
	if d := cmp.Diff([]string{
		"replace at resid_post@0,2, positions last",
		"add at attn_out@7, tau 2, tokens: prompt",
		"scale at z@all, head 1 and 3, times 0.5",
		"ablate at mlp_out@-1, tokens: generated",
	}, said); d != "" {
		t.Error(d)
	}
	data, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Parse(data); err != nil || !cmp.Equal(entries, again) {
		t.Errorf("%s: %v", data, err)
	}
	if one, err := Parse([]byte(` {"layers": "0", "op": "ablate"}`)); err != nil || len(one) != 1 {
		t.Errorf("one entry: %v, %v", one, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                       "the list is empty",
		`[{"op": "ablate"}]`:       "intervention 0: layers are missing",
		`[{"layers": "0"}]`:        `op ""`,
		`[{"layers": 0.5}]`:        "want a whole number",
		`[{"layers": {}}]`:         "want a text such as",
		`[{"layers": [{}]}]`:       "want a text such as",
		`[{"layer": 0}]`:           `unknown field "layer"`,
		`[] []`:                    "more data after the list",
		`[`:                        "unexpected EOF",
		`[{"layers": 0, "op": "x"`: "unexpected EOF",
		`{"layers": 0, "op": "ablate", "site": "pattern"}`:                                                              `site "pattern"`,
		`{"layers": 0, "op": "ablate", "when": "never"}`:                                                                `when "never"`,
		`{"layers": 0, "op": "ablate", "positions": "x"}`:                                                               `positions "x"`,
		`{"layers": 0, "op": "ablate", "heads": [1]}`:                                                                   "heads at attn_out",
		`{"layers": 0, "op": "ablate", "site": "z", "heads": []}`:                                                       "the list of heads is empty",
		`{"layers": 0, "op": "ablate", "tau": 1}`:                                                                       "ablate takes no tau",
		`{"layers": 0, "op": "ablate", "keep": 1}`:                                                                      "ablate takes no keep",
		`{"layers": 0, "op": "ablate", "memory": {"text": "a"}}`:                                                        "ablate takes no memory",
		`{"layers": 0, "op": "scale"}`:                                                                                  "scale needs keep",
		`{"layers": 0, "op": "scale", "keep": 1e39}`:                                                                    "float32",
		`{"layers": 0, "op": "add"}`:                                                                                    "add needs a memory",
		`{"layers": 0, "op": "add", "memory": {}}`:                                                                      "want one of text, vector and captured",
		`{"layers": 0, "op": "add", "memory": {"text": "a", "vector": "b"}}`:                                            "want one of text, vector and captured",
		`{"layers": 0, "op": "add", "memory": {"vector": "b", "encoding": "embed"}}`:                                    "are those of a text",
		`{"layers": 0, "op": "add", "memory": {"text": "a", "encoding": "x"}}`:                                          `encoding "x"`,
		`{"layers": 0, "op": "add", "memory": {"text": "a", "convention": "x"}}`:                                        `convention "x"`,
		`{"layers": 0, "op": "add", "site": "z", "memory": {"text": "a"}}`:                                              "a text becomes a vector of the residual stream",
		`{"layers": 0, "op": "add", "memory": {"captured": {"prompt": "a", "site": "z"}}}`:                              "has another shape",
		`{"layers": 0, "op": "add", "memory": {"captured": {"prompt": "a", "site": "x"}}}`:                              `site "x"`,
		`{"layers": 0, "op": "add", "memory": {"captured": {"prompt": "a", "position": "first"}}}`:                      "want last or a number",
		`{"layers": 0, "op": "add", "memory": {"captured": {"prompt": "a"}}, "positions": "last", "when": "generated"}`: "are tokens of the prompt",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// A captured position counts from the start or the end of its prompt.
func TestCapturedAt(t *testing.T) {
	for position, want := range map[string]int{"": 4, "last": 4, "0": 0, "-1": 4, "-5": 0} {
		if got, err := (&Captured{Position: position}).At(5); err != nil || got != want {
			t.Errorf("%q: got %d, %v", position, got, err)
		}
	}
	for _, position := range []string{"5", "-6", "x"} {
		if _, err := (&Captured{Position: position}).At(5); err == nil {
			t.Errorf("%q was accepted", position)
		}
	}
}

var layout = &models.Layout{Layers: 2, Heads: 2, DHead: 2, DModel: 3, Bodies: []*models.Body{}}

// effect computes x' = keep * x + tau * memory from the feeds of a place, for x of the given shape [pos, rows, width].
func effect(t *testing.T, feeds map[string]*graph.Tensor, site models.PortKind, x []float64, pos, rows int) []float64 {
	t.Helper()
	width := len(x) / pos / rows
	read := func(kind models.PortKind, per int, off float32) []float32 {
		v := feeds[site.Input(kind).Name(1)]
		if v == nil {
			return slices.Repeat([]float32{off}, pos*rows*per)
		}
		f, err := v.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		if v.Dims[1] == 1 {
			f = slices.Repeat(f, pos)
		}
		if len(f) != pos*rows*per {
			t.Fatalf("%s of %s: shape %v", kind, site, v.Dims)
		}
		return f
	}
	keep, tau, memory := read(models.PortKeep, 1, 1), read(models.PortTau, 1, 0), read(models.PortMemory, width, 0)
	out := make([]float64, len(x))
	for i := range x {
		out[i] = float64(keep[i/width])*x[i] + float64(tau[i/width])*float64(memory[i])
	}
	return out
}

// The feeds of a plan have the effect of its changes, one after the other, in a text that runs at once and in steps.
func TestFeeds(t *testing.T) {
	at := func(s string) Positions {
		p, err := ParsePositions(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	stream := func(c Change) Change { c.Site, c.Layer = models.PortResidPost, 1; return c }
	z := func(c Change) Change { c.Site, c.Layer = models.PortZ, 1; return c }
	v, w := []float32{1, 2, 4}, []float32{-1, 0, 8}
	const prompt, total = 4, 6
	for name, plan := range map[string]Plan{
		"one memory":           {stream(Change{Keep: 1, Tau: 2, Vector: v})},
		"one memory at last":   {stream(Change{Keep: 1, Tau: 2, Vector: v, Positions: LastPosition})},
		"two memories":         {stream(Change{Keep: 1, Tau: 2, Vector: v}), stream(Change{Keep: 1, Tau: -1, Vector: w, Positions: at("1-2")})},
		"a factor":             {stream(Change{Keep: 0.5})},
		"add, then scale":      {stream(Change{Keep: 1, Tau: 2, Vector: v}), stream(Change{Keep: 0.5, Positions: at("0-1")})},
		"scale, then add":      {stream(Change{Keep: 0.5}), stream(Change{Keep: 1, Tau: 3, Vector: v, When: Prompt})},
		"replace":              {stream(Change{Tau: 1, Vector: w, Positions: at("2")})},
		"replace, then ablate": {stream(Change{Tau: 1, Vector: w}), stream(Change{Keep: 0, When: Generated})},
		"generated only":       {stream(Change{Keep: 1, Tau: 2, Vector: v, When: Generated})},
		"a head":               {z(Change{Keep: 0, Heads: []int{1}})},
		"a memory of a head":   {z(Change{Keep: 1, Tau: 2, Vector: []float32{1, 2, 3, 4}, Heads: []int{0}, Positions: at("1-3")})},
		"both heads":           {z(Change{Keep: 0.25, Heads: []int{0}}), z(Change{Keep: 1, Tau: 1, Vector: []float32{1, 2, 3, 4}})},
	} {
		site := plan[0].Site
		rows, width := 1, 3
		if site == models.PortZ {
			rows, width = 2, 2
		}
		x := make([]float64, total*rows*width)
		for i := range x {
			x[i] = float64(i + 1)
		}
		want := slices.Clone(x)
		for _, c := range plan {
			from, to, err := c.Positions.Within(prompt)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				p, h := i/width/rows, i/width%rows
				inPrompt := p < prompt && c.When != Generated && from <= p && p < to
				after := p >= prompt && c.When != Prompt && c.Positions == AllPositions
				if !inPrompt && !after || c.Heads != nil && !slices.Contains(c.Heads, h) {
					continue
				}
				want[i] *= c.Keep
				if c.Vector != nil {
					want[i] += c.Tau * float64(c.Vector[i%len(c.Vector)])
				}
			}
		}
		for _, steps := range [][]int{{0, total}, {0, prompt, 5, 6}, {0, 1, 2, 3, 4, 5, 6}} {
			var got []float64
			for i := range steps[1:] {
				from, to := steps[i], steps[i+1]
				feeds, err := plan.Feeds(layout, Span{From: from, To: to, Prompt: prompt})
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, effect(t, feeds, site, x[from*rows*width:to*rows*width], to-from, rows)...)
			}
			for i := range want {
				if math.Abs(got[i]-want[i]) > 1e-6 {
					t.Errorf("%s in steps %v: number %d is %g, want %g", name, steps, i, got[i], want[i])
					break
				}
			}
		}
	}
}

// Where nothing differs between positions, a feed has one.
func TestFeedsAreSmall(t *testing.T) {
	plan := Plan{{Site: models.PortAttnOut, Layer: 1, Keep: 0.5, Tau: 2, Vector: []float32{1, 2, 3}}}
	feeds, err := plan.Feeds(layout, Span{To: 5, Prompt: 5})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int64{"blocks.1.attn.memory": {1, 1, 3}, "blocks.1.attn.tau": {1, 1, 1}, "blocks.1.attn.keep": {1, 1, 1}} {
		if got := feeds[name]; got == nil || !slices.Equal(got.Dims, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if tau, err := feeds["blocks.1.attn.tau"].Float32s(); err != nil || tau[0] != 2 {
		t.Errorf("tau %v", tau)
	}
	if d := cmp.Diff([]Ports{{models.BakedAt{Site: models.PortAttnOut, Layer: 1}, true, true}}, plan.Ports()); d != "" {
		t.Error(d)
	}
	if !plan.Acts() || (Plan{{Keep: 1, Vector: []float32{1}}}).Acts() {
		t.Error("which plans act")
	}
	plan[0].Positions = Positions{kind: between, from: 7, to: 8}
	if _, err := plan.Feeds(layout, Span{To: 5, Prompt: 5}); err == nil {
		t.Error("positions beyond the prompt are accepted")
	}
}

func TestPlanCheck(t *testing.T) {
	use := graph.Use{Node: &graph.Node{}}
	block := func() *models.Layer { return &models.Layer{Join: use, ZAt: models.Place{Uses: []graph.Use{use}}} }
	l := *layout
	l.Bodies = []*models.Body{{Layers: []*models.Layer{block(), block()}}}
	for want, c := range map[string]Change{
		"":                               {Site: models.PortZ, Layer: 1, Heads: []int{1}, Vector: make([]float32, 4)},
		"layer 2, the model has 0 to 1":  {Site: models.PortZ, Layer: 2},
		"head 2, the model has 0 to 1":   {Site: models.PortZ, Heads: []int{2}},
		"a memory of 4 numbers at attn_": {Site: models.PortAttnOut, Vector: make([]float32, 4)},
		"mlp_out of layer 0: ":           {Site: models.PortMLPOut},
	} {
		if err := (Plan{c}).Check(&l); want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// An entry becomes a change with the factors of its operation.
func TestChange(t *testing.T) {
	two, half := 2.0, 0.5
	for _, tt := range []struct {
		e         Entry
		keep, tau float64
	}{
		{Entry{Op: Add}, 1, 1}, {Entry{Op: Add, Tau: &two}, 1, 2}, {Entry{Op: Replace}, 0, 1}, {Entry{Op: Ablate}, 0, 1}, {Entry{Op: Scale, Keep: &half}, 0.5, 1},
	} {
		c, err := tt.e.Change(3, nil)
		if err != nil || c.Site != models.DefaultSite || c.Layer != 3 || c.Keep != tt.keep || c.Tau != tt.tau {
			t.Errorf("%+v: %+v, %v", tt.e, c, err)
		}
	}
	if e := AddText("a", 2, 3, "embed", "raw"); e.Check() != nil || e.String() != "add at attn_out@2, tau 3" {
		t.Errorf("%v: %v", e, e.Check())
	}
}

// An entity memory acts after 0.2 to 0.45 of the layers, where it was measured to work, if the model has enough of them.
func TestEntity(t *testing.T) {
	for layers, want := range map[int]int{1: 0, 2: 0, 6: 1, 12: 3, 24: 6, 28: 7, 32: 9, 80: 23} {
		if got := EntityLayer(layers); got != want {
			t.Errorf("%d layers: layer %d, want %d", layers, got, want)
		}
	}
	for layers := 4; layers < 200; layers++ {
		if share := float64(EntityLayer(layers)+1) / float64(layers); share < 0.2 || share > 0.45 {
			t.Errorf("%d layers: after %.2f of them", layers, share)
		}
	}
	e := Entity("Peru", `the land of "Machu Picchu"`, EntitySite, "3", 1)
	name, phrase, ok := e.EntityOf()
	if e.Check() != nil || name != "Peru" || phrase != `the land of "Machu Picchu"` || !ok || e.At() != models.PortResidPost {
		t.Errorf("%+v: %q, %q, %v", e, name, phrase, ok)
	}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Parse(data); err != nil || len(again) != 1 || again[0].String() != e.String() {
		t.Errorf("%s: %+v, %v", data, again, err)
	}
	for name, change := range map[string]func(*Entry){
		"adds": func(e *Entry) { e.Op = Add }, "at a range": func(e *Entry) { e.Positions = "1-2" }, "a text": func(e *Entry) { e.Memory = &Memory{Text: "Peru"} },
		"of the prompt itself": func(e *Entry) { e.Memory = &Memory{Captured: &Captured{}} },
	} {
		other := e
		change(&other)
		if _, _, ok := other.EntityOf(); ok {
			t.Errorf("%s: is an entity memory", name)
		}
	}
}

// Two entries for one token are refused where the second would win.
func TestOneMemory(t *testing.T) {
	entries := []Entry{Entity("a", "x", EntitySite, "1", 1), Entity("b", "y x", EntitySite, "1", 1)}
	at := func(entry, position, layer int) Change {
		return Change{Entry: entry, Site: EntitySite, Layer: layer, Positions: Positions{kind: between, from: position, to: position}}
	}
	if err := (Plan{at(0, 3, 1), at(1, 3, 1)}).OneMemory(entries); err == nil || !strings.Contains(err.Error(), "want one memory for a phrase") {
		t.Errorf("one token: %v", err)
	}
	if err := (Plan{at(0, 3, 1), at(0, 3, 2), at(1, 4, 1), at(1, 3, 3)}).OneMemory(entries); err != nil {
		t.Errorf("other tokens and layers: %v", err)
	}
	entries[1].Op = Add
	if err := (Plan{at(0, 3, 1), at(1, 3, 1)}).OneMemory(entries); err != nil {
		t.Errorf("an addition: %v", err)
	}
}
