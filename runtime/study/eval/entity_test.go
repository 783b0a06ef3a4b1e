package eval

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

func TestPhraseOf(t *testing.T) {
	for _, tt := range []struct{ two, one, obscure, want string }{
		{"The capital of the land of Machu Picchu is", "", "the land of Machu Picchu", "the land of Machu Picchu"},
		{"The land of Machu Picchu has its capital in", "", "the land of Machu Picchu", "The land of Machu Picchu"},
		{"The capital of the land of Machu Picchu is", "The capital of Peru is", "the Inca empire", "the land of Machu Picchu"},
		{"The wife of the leader lives in", "The wife of Ahmet Çelik lives in", "", "the leader"},
		{"In the biggest country people speak", "In Russia people speak", "", "the biggest country"},
		{"The capital of  Peru is", "The capital of France is", "", "Peru"},
		{"The old  king lives", "Bob lives", "", ""}, // two spaces
		{"The capital of Peru is", "", "France", ""},
		{"Who is it", "Bob", "", ""},
	} {
		if got := phraseOf(results.Prompt{TwoHop: tt.two, OneHop: tt.one, ObscureEntity: tt.obscure}); got != tt.want {
			t.Errorf("%q, %q, %q: got %q, want %q", tt.two, tt.one, tt.obscure, got, tt.want)
		}
	}
}

// A cell of an entity, or of another prompt's, is what run says with that entry. A prompt with the memory in front is what run says
// of that prompt. A prompt without a phrase is marked.
func TestEntity(t *testing.T) {
	c := world(t)
	const data = `obscure_sentence,explicit_sentence,explicit_entity,obscure_entity,answer
The capital of the land of Machu Picchu is,The capital of Peru is, Peru,the land of Machu Picchu,Lima
People in the land of Mount Fuji speak,People in Japan speak, Japan,the land of Mount Fuji,Japanese
What is it,, Nepal,a riddle,Kathmandu
`
	d := usual(t, "entity")
	c.Data, c.Memories, c.Layers, c.Taus, c.Limit = write(t, "data.csv", data), WithControls([]string{"entity"}), []int{0, 2}, []float64{1}, 0
	c.Op, c.Sites, c.Phrase, c.Told = d.Op, []models.PortKind{d.Site, models.PortResidPre}, d.Phrase, d.Told
	report, got := run(t, c)
	if report.NotFinite != 0 || len(got.Cells) != 3*2*2*2 || got.Manifest.Positions != "phrase" || got.Manifest.Memories[1].Name != "wrong:entity" {
		t.Fatalf("%d cells, %+v, %+v", len(got.Cells), report, got.Manifest)
	}
	m, err := steer.New(t.Context(), orttest.Host(t), c.Model, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, x := range got.Cells {
		p := got.Prompts[x.Prompt]
		if p.Index == 2 {
			if x.Status != results.Missing {
				t.Errorf("a prompt without a phrase: %+v", x)
			}
			continue
		}
		if (x.Memory == p.ExplicitEntity) != (x.Source == "entity") {
			t.Errorf("%v of prompt %d has the memory %q", x.Point(), p.Index, x.Memory)
		}
		site := d.Site
		if x.Site != "" {
			site = x.Site
		}
		e := intervention.Entity(x.Memory, p.ObscureEntity, site, intervention.Layers(strconv.Itoa(x.Layer)), 1)
		r, err := m.Run(t.Context(), steer.Query{Prompt: p.TwoHop, Answer: p.Answer, Entries: []intervention.Entry{e}})
		if err != nil {
			t.Fatal(err)
		}
		if !(math.Abs(r.Answer.LogPInjected-x.LogP) <= 1e-5) {
			t.Errorf("%v of prompt %d: log-probability %v, run says %v", x.Point(), p.Index, x.LogP, r.Answer.LogPInjected)
		}
	}
	for i, want := range []string{"The land of Machu Picchu is Peru. The capital of", "The land of Mount Fuji is Japan. People in", ""} {
		p := got.Prompts[i]
		if !strings.HasPrefix(p.Told.Text, want) || (p.Told.Status == results.Missing) != (want == "") {
			t.Errorf("prompt %d with the memory in front: %+v", i, p.Told)
		}
		if want == "" {
			continue
		}
		r, err := m.Run(t.Context(), steer.Query{Prompt: p.Told.Text, Answer: p.Answer})
		if err != nil {
			t.Fatal(err)
		}
		if !(math.Abs(r.Answer.LogPClean-p.Told.LogP) <= 1e-5) {
			t.Errorf("prompt %d with the memory in front: %v, want %v", i, p.Told.LogP, r.Answer.LogPClean)
		}
	}
	if s := report.Summary.Series[0]; s.Skipped != 2 || s.Told.N != 2 || s.Telling.N != 2 || s.Grid[0][0].N != 2 {
		t.Errorf("the summary has %d skipped cells, %+v", s.Skipped, s)
	}
	if r, _ := run(t, c); r.Resumed != 3 {
		t.Errorf("%d prompts were read back", r.Resumed)
	}
}

// usual returns the settings that a source, and the same source of another prompt, are made for.
func usual(t *testing.T, spec string) Defaults {
	t.Helper()
	d, err := DefaultsOf([]string{spec, "wrong:" + spec})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
