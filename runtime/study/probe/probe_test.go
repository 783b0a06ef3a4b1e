package probe

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// The first class that fits is the class.
func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		two, one Score
		want     Class
	}{
		{Score{Rank: 0, LogP: -1}, Score{Rank: 99, LogP: -9}, Succeeds},
		{Score{Rank: 1, LogP: -3}, Score{Rank: 10, LogP: -9}, LacksHop2},
		{Score{Rank: 50, LogP: -9}, Score{Rank: 10, LogP: -3}, LacksHop2},
		{Score{Rank: 1, LogP: -3}, Score{Rank: 9, LogP: -3}, NoBetter},
		{Score{Rank: 1, LogP: -3}, Score{Rank: 0, LogP: -3.1}, NoBetter},
		{Score{Rank: 1, LogP: -3}, Score{Rank: 9, LogP: -2.9}, Correctable},
	} {
		if got := Classify(tt.two, tt.one); got != tt.want {
			t.Errorf("%+v, %+v: got %q, want %q", tt.two, tt.one, got, tt.want)
		}
	}
}

// The built-in model gives the probabilities that PyTorch gives in double precision, for every prompt.
func TestAgainstPyTorch(t *testing.T) {
	r, data := probed(t, 0)
	var ref struct {
		Explicit float64   `json:"explicit"`
		Clean    float64   `json:"clean"`
		One      []float64 `json:"p_explicit"`
		Two      []float64 `json:"p_clean"`
	}
	text, err := sidefile.ReadFile(filepath.Join(data, "reference.json"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &ref); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		if !(math.Abs(got-want) <= 1e-5) {
			t.Errorf("%s: got %.6f, want %.6f", what, got, want)
		}
	}
	if len(r.Rows) != len(ref.Two) {
		t.Fatalf("%d prompts, want %d", len(r.Rows), len(ref.Two))
	}
	counts := map[Class]int{}
	hop1 := Hop1{}
	for i, row := range r.Rows {
		near(fmt.Sprint("two hops ", i), row.Two.P, ref.Two[i])
		near(fmt.Sprint("one hop ", i), row.One.P, ref.One[i])
		near(fmt.Sprint("gap ", i), row.Gap, row.One.LogP-row.Two.LogP)
		counts[row.Class]++
		if row.Two.Rank == 0 {
			hop1.OthersSucceeds++
		}
		if row.First == nil || row.Hop1 != demo.Prompts()[i].ObscureEntity+" is" || row.First.Token != demo.Prompts()[i].ExplicitEntity {
			t.Errorf("hop 1 of %d: %q → %+v", i, row.Hop1, row.First)
		} else if row.First.Rank == 0 {
			t.Errorf("hop 1 of %d: rank 0, which the counts below do not expect", i)
		}
	}
	near("mean of two hops", r.MeanTwo, ref.Clean)
	near("mean of one hop", r.MeanOne, ref.Explicit)
	for _, c := range r.Classes {
		if c.Prompts != counts[c.Class] {
			t.Errorf("%s: %d, want %d", c.Class, c.Prompts, counts[c.Class])
		}
	}
	if hop1.Others = len(r.Rows); *r.Hop1 != hop1 || counts[Succeeds] != hop1.OthersSucceeds || counts[Correctable] == 0 {
		t.Errorf("hop 1: %+v, want %+v; classes %v", *r.Hop1, hop1, counts)
	}
}

// probed runs the first n prompts of the built-in model, 0 for all, and returns its folder.
func probed(t *testing.T, n int) (*Report, string) {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	data, err := eval.ReadData(filepath.Join(dir, "prompts.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var prompts []results.Prompt
	for i, row := range data.Rows {
		if n == 0 || i < n {
			prompts = append(prompts, row.Prompt)
		}
	}
	m, err := steer.Open(t.Context(), orttest.Host(t), dir, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	steps := 0
	r, err := Run(t.Context(), m, prompts, func(done, all int) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if steps != len(prompts) {
		t.Errorf("%d steps for %d prompts", steps, len(prompts))
	}
	return r, dir
}

// Data without descriptions has no hop 1, and data without one-hop prompts is refused.
func TestColumns(t *testing.T) {
	if err := Check([]results.Prompt{{Index: 7, TwoHop: "a", Answer: "b"}}); err == nil || err.Error() != "prompt 7: want a one-hop prompt, got none" {
		t.Errorf("got %v", err)
	}
	if Check(nil) == nil {
		t.Error("no prompts are accepted")
	}
	m, err := steer.Open(t.Context(), orttest.Host(t), written(t), runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r, err := Run(t.Context(), m, []results.Prompt{{TwoHop: "People in the land of Mount Fuji speak", OneHop: "People in Japan speak", Answer: "Japanese"}}, func(int, int) {})
	if err != nil || r.Hop1 != nil || r.Rows[0].First != nil || r.Rows[0].Hop1 != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func written(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The page escapes texts, draws every prompt, and is the same for the same report. The table has every prompt.
func TestFiles(t *testing.T) {
	r := &Report{Model: "<b>", Hop1: &Hop1{1, 1, 2, 0}, Rows: []Row{
		{Prompt: `<script>"x"`, Answer: "&", Two: Score{Rank: 0, LogP: -0.5, P: 0.6}, One: Score{LogP: -0.25}, First: &Score{Rank: 4, LogP: -3}, Class: Succeeds, Gap: 0.25},
		{Index: 1, Prompt: "b", Two: Score{Rank: 40, LogP: -99}, One: Score{Rank: 11, LogP: -8}, Class: LacksHop2, Gap: 91},
		{Index: 2, Prompt: "c", Two: Score{Rank: 4, LogP: -5}, One: Score{Rank: 3, LogP: -6}, Class: NoBetter, Gap: -1},
		{Index: 3, Prompt: "d", Two: Score{Rank: 4, LogP: -5}, One: Score{Rank: 3, LogP: -2}, Class: Correctable, Gap: 3},
	}}
	for _, c := range Classes {
		r.Classes = append(r.Classes, Count{c.Class, c.Doc, 1})
	}
	var a, b bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		if err := r.WriteHTML(w, "prompts<.csv"); err != nil {
			t.Fatal(err)
		}
	}
	page := a.String()
	if page != b.String() {
		t.Error("two pages of one report differ")
	}
	if !strings.Contains(html.UnescapeString(page), `content="`+scripts.Policy()+`"`) {
		t.Error("the page does not have the policy")
	}
	for _, s := range scripts {
		before, after, ok := strings.Cut(page, "<script>"+string(s)+"</script>\n")
		if !ok {
			t.Fatalf("the page does not have the script %.40q", s)
		}
		page = before + after
	}
	if n := strings.Count(page, "<path "); n != len(r.Rows) {
		t.Errorf("%d marks, want %d", n, len(r.Rows))
	}
	for _, bad := range []string{"<script>", "<b>", "prompts<.csv", "ZgotmplZ", "NaN", "http:", "https:"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "triangles", `class="c3"`, "&#43;91.00", "-1.00"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not contain %q", want)
		}
	}
	var out bytes.Buffer
	if err := r.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 5 || rows[1][9] != `<script>"x"` || rows[2][3] != "-99" || rows[1][7] != "4" || rows[2][7] != "" {
		t.Errorf("%v, %v", rows, err)
	}
}
