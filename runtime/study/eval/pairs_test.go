package eval

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

const pairs = `prompt,memory,obscure_entity,memory_2,obscure_entity_2,memory_3,obscure_entity_3,answer
In the land of Mount Fuji it is nice. The capital of the land of Machu Picchu is, Peru,the land of Machu Picchu, Japan,the land of Mount Fuji,,,Lima
People in the land of Cape Coast Castle speak, Ghana,the land of Cape Coast Castle,,,,,Akan
"Uluru, Mount Fuji, Machu Picchu, Mount Fuji. The capital there is", Australia,Uluru, Japan,Mount Fuji, Peru,machu picchu,Lima
The capital of the land of Machu Picchu is, Kenya,the land of Machu Picchu, Nepal,a riddle,,,Lima
`

// entityConfig is an evaluation of entity memories with the settings that they are made for.
func entityConfig(t *testing.T, data string) Config {
	c, d := world(t), usual(t, "entity")
	c.Data, c.Memories, c.Layers, c.Taus, c.Limit = write(t, "data.csv", data), WithControls([]string{"entity"}), []int{0, 2}, []float64{1}, 0
	c.Op, c.Sites, c.Phrase, c.Told = d.Op, []models.PortKind{d.Site, models.PortResidPre}, d.Phrase, d.Told
	return c
}

// A cell of several pairs is what run says with the same pairs, in every plan. A control gives each phrase a memory of another prompt.
func TestPairs(t *testing.T) {
	c := entityConfig(t, pairs)
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var first *results.Run
	for _, plan := range []string{"points", "rows", "fanout", Auto} {
		c.Plan, c.Dir = plan, filepath.Join(t.TempDir(), plan)
		report, got := run(t, c)
		if plan == Auto && got.Manifest.Plan != (results.Plan{Used: "fanout"}) {
			t.Errorf("auto used %+v", got.Manifest.Plan)
		}
		if r, _ := run(t, c); r.Resumed != 4 {
			t.Errorf("%d prompts were read back", r.Resumed)
		}
		if first != nil {
			compare(t, plan, first, got)
			continue
		}
		first = got
		if s := report.Summary.Series[0]; got.Manifest.Pairs != 3 || s.Skipped != 2 || s.Grid[0][0].N != 3 {
			t.Errorf("pairs %d, %d skipped, %d prompts", got.Manifest.Pairs, s.Skipped, s.Grid[0][0].N)
		}
	}
	for i, want := range [][]results.Pair{{{Entity: " Japan", Phrase: "the land of Mount Fuji"}}, nil, {{Entity: " Japan", Phrase: "Mount Fuji"}, {Entity: " Peru", Phrase: "machu picchu"}}} {
		if d := cmp.Diff(want, first.Prompts[i].More); d != "" {
			t.Errorf("prompt %d has other pairs: %s", i, d)
		}
	}
	drawn := map[int]bool{}
	for _, x := range first.Cells {
		p := first.Prompts[x.Prompt]
		if p.Index == 3 {
			if x.Status != results.Missing {
				t.Errorf("a prompt without one of its phrases: %+v", x)
			}
			continue
		}
		names := strings.Split(x.Memory, and)
		site := models.PortResidPost
		if x.Site != "" {
			site = x.Site
		}
		var entries []intervention.Entry
		if len(names) != len(p.Pairs()) {
			t.Fatalf("%v of prompt %d has the memories %q", x.Point(), p.Index, names)
		}
		for i, pair := range p.Pairs() {
			if (names[i] == pair.Entity) != (x.Source == "entity") {
				t.Errorf("%v of prompt %d has the memories %q", x.Point(), p.Index, names)
			}
			phrase := strings.Replace(pair.Phrase, "machu picchu", "Machu Picchu", 1) // as the prompt has it
			entries = append(entries, intervention.Entity(names[i], phrase, site, intervention.Layers(strconv.Itoa(x.Layer)), 1))
		}
		r, err := m.Run(t.Context(), steer.Query{Prompt: p.TwoHop, Answer: p.Answer, Entries: entries})
		if err != nil {
			t.Fatal(err)
		}
		if !(math.Abs(r.Answer.LogPInjected-x.LogP) <= 1e-5) {
			t.Errorf("%v of prompt %d: log-probability %v, run says %v", x.Point(), p.Index, x.LogP, r.Answer.LogPInjected)
		}
		drawn[len(names)] = drawn[len(names)] || x.Source != "entity"
	}
	if !drawn[1] || !drawn[2] || !drawn[3] {
		t.Errorf("controls of so many memories: %v", drawn)
	}
	for i, want := range []string{"The land of Machu Picchu is Peru. The land of Mount Fuji is Japan. In the land of Mount Fuji it", "The land of Cape Coast Castle is Ghana. People",
		"Uluru is Australia. Mount Fuji is Japan. Machu Picchu is Peru. Uluru,"} {
		if p := first.Prompts[i]; !strings.HasPrefix(p.Told.Text, want) || !p.Told.OK() {
			t.Errorf("prompt %d with the memories in front: %+v", i, p.Told)
		}
	}
}

// A further memory counts: without it, the cell is another.
func TestPairsAct(t *testing.T) {
	c := entityConfig(t, pairs)
	c.Limit, c.Memories = 1, []string{"entity"}
	_, both := run(t, c)
	c.Data, c.Dir = write(t, "one.csv", strings.Replace(pairs, " Japan,the land of Mount Fuji,,,Lima", ",,,,Lima", 1)), t.TempDir()
	_, one := run(t, c)
	if both.Cells[0].Memory != " Peru +  Japan" || one.Cells[0].Memory != " Peru" || both.Cells[0].LogP == one.Cells[0].LogP {
		t.Errorf("%+v and %+v", both.Cells[0], one.Cells[0])
	}
	if !(math.Abs(one.Prompts[0].Clean.LogP-both.Prompts[0].Clean.LogP) <= 1e-5) {
		t.Errorf("the clean prompt is another: %+v, %+v", one.Prompts[0], both.Prompts[0])
	}
}

// Memories of phrases can be added, too, in units of the model's own values.
func TestPairsAdded(t *testing.T) {
	c := entityConfig(t, pairs)
	c.Op, c.TauUnit, c.Taus, c.Limit, c.Sites = intervention.Add, steer.TauNorm, []float64{0.5}, 2, []models.PortKind{models.PortResidPost}
	var first *results.Run
	for _, plan := range []string{"points", "rows", "fanout", Auto} {
		c.Plan, c.Dir = plan, filepath.Join(t.TempDir(), plan)
		_, got := run(t, c)
		if first == nil {
			first = got
		}
		compare(t, plan, first, got)
	}
}

func TestPairsRefused(t *testing.T) {
	const row = "The land of Mount Fuji and the land of Machu Picchu are"
	for _, tt := range []struct{ columns, row, want string }{
		{"obscure_entity_2", "the land of Mount Fuji", "the column obscure_entity_2 needs one of its memories: explicit_entity_2 or memory_2"},
		{"memory_2,obscure_entity_2", ",the land of Mount Fuji", `prompt 0: want a memory for each phrase: obscure_entity_2 is "the land of Mount Fuji", and memory_2 is empty`},
		{"memory_2,obscure_entity_2", " Japan,", `prompt 0: want a phrase for each memory: memory_2 is " Japan", and obscure_entity_2 is empty`},
		{"memory_2,obscure_entity_2", " Japan,Picchu", `the phrases "the land of Machu Picchu" and "Picchu" overlap in "The land of Mount Fuji and`},
		{"memory_2,obscure_entity_2", " Japan,and the land of M", `overlap`},
		{"memory_2,obscure_entity_2", " Japan,the land of Machu Picchu", `overlap`},
	} {
		c := entityConfig(t, "prompt,memory,obscure_entity,answer,"+tt.columns+"\n"+row+", Peru,the land of Machu Picchu,Lima,"+tt.row+"\n")
		c.Memories = []string{"entity"}
		if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.row, err, tt.want)
		}
	}
	c := entityConfig(t, strings.Replace(pairs, ", Peru,the land of Machu Picchu", ", Peru,", 1))
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), `prompt 0: memory_2 is " Japan", but the first memory or its phrase is empty`) {
		t.Errorf("without the first phrase: %v", err)
	}
	c = entityConfig(t, pairs)
	c.Phrase, c.Positions = false, intervention.LastPosition
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "each for its own phrase, got positions last") || hint.Of(err) != "give --positions phrase" {
		t.Errorf("at the last position: %v", err)
	}
	c = entityConfig(t, pairs+"The land of Mount Fuji is, Ghana,the land of Mount Fuji,,,,,x\nThe land of Mount Fuji is, Ghana,the land of Mount Fuji,,,,,x\nThe land of Mount Fuji is, Ghana,the land of Mount Fuji,,,,,x\n")
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "half of the prompts or more") && !strings.Contains(err.Error(), "found no other prompt") {
		t.Errorf("no control: %v", err)
	}
}

// Columns that are no pairs keep their meaning.
func TestNoPairs(t *testing.T) {
	d, err := ReadData(write(t, "data.csv", "prompt,memory,memory_2,obscure_entity_3,answer\na,b,c,d,e\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d.pairs != 1 || d.Rows[0].More != nil || !slices.Contains(d.Columns, "memory_2") {
		t.Errorf("%+v", d)
	}
}

// Every set of prompts that we ship is read, and has its phrases in its prompts.
func TestSets(t *testing.T) {
	for _, set := range []struct {
		folder              string
		three, two, correct int // prompts, at least
	}{{"models/demo", 40, 40, 40}, {"scripts/experiments", 30, 30, 30}} {
		for name, want := range map[string]int{"three_hops": set.three, "two_phrases": set.two, "corrected": set.correct} {
			path := filepath.Join("..", "..", "..", set.folder, name+".csv")
			d, err := ReadData(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Rows) < want || name == "two_phrases" && d.pairs != 2 {
				t.Errorf("%s has %d prompts with at most %d memories", path, len(d.Rows), d.pairs)
			}
			seen := map[string]bool{}
			for _, r := range d.Rows {
				phrases := phrasesOf(r.Prompt)
				if len(phrases) != len(r.Pairs()) || seen[r.TwoHop+r.Answer] || r.OneHop == "" {
					t.Fatalf("%s: prompt %d, %q, has the phrases %q, and the memories %q", path, r.Index, r.TwoHop, phrases, r.Pairs())
				}
				seen[r.TwoHop+r.Answer] = true
				if err := intervention.Apart(r.TwoHop, phrases); err != nil {
					t.Errorf("%s: prompt %d: %v", path, r.Index, err)
				}
				for i, pair := range r.Pairs() {
					if pair.Phrase == "" || !strings.EqualFold(phrases[i], pair.Phrase) || strings.Contains(r.TwoHop, strings.TrimSpace(pair.Entity)) || strings.Contains(r.TwoHop, r.Answer) {
						t.Errorf("%s: prompt %d, %q: %q for %q, answer %q", path, r.Index, r.TwoHop, pair.Entity, pair.Phrase, r.Answer)
					}
				}
			}
		}
	}
}

// broken is a runner whose every run fails.
type broken struct{}

func (broken) run(context.Context, question, []cell) (results.Score, []results.Score, error) {
	return results.Score{}, nil, errors.New("the host gave up")
}

func (broken) close() error { return nil }

// An error of a prompt ends the evaluation with that error, and not as if all prompts were done.
func TestPromptFails(t *testing.T) {
	c := world(t)
	c.Shard.Of, c.Progress = 1, func(Progress) {}
	e, err := prepare(t.Context(), orttest.Host(t), c)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.manifest()
	if err != nil {
		t.Fatal(err)
	}
	w, err := results.Create(c.Dir, m)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(results.Plan{Used: "fanout"}); err != nil {
		t.Fatal(err)
	}
	if err := e.loop(t.Context(), w, broken{}, []int{0, 1}, &Report{}); err == nil || err.Error() != "prompt 0: the host gave up" {
		t.Errorf("got %v", err)
	}
}
