package memory

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"pgregory.net/rapid"
)

// reference holds the values that double-precision PyTorch computed from the weights of a fixture.
type reference struct {
	File   string  `json:"file"`
	Ref    string  `json:"ref"`
	Atol   float64 `json:"atol"`
	Tokens []int64 `json:"memory_tokens"`
	Memory map[string]struct {
		Data []float64 `json:"data"`
	} `json:"memory"`
}

// references reads every list of fixtures: those of GPT-2, and those of other families in subfolders.
func references(t *testing.T) []reference {
	t.Helper()
	read := func(path string, into any) {
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	lists, err := filepath.Glob("../testdata/*/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []reference
	for _, list := range append(lists, "../testdata/cases.json") {
		var cases []reference
		read(list, &cases)
		for _, c := range cases {
			dir := filepath.Dir(list)
			read(filepath.Join(dir, c.Ref), &c)
			c.File = filepath.Join(dir, c.File)
			out = append(out, c)
		}
	}
	if len(out) < 16 {
		t.Fatalf("%d cases, want those of GPT-2 at least, 16", len(out))
	}
	return out
}

func located(t testing.TB, path string) *models.Layout {
	t.Helper()
	f, err := folder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Load(f.Model)
	if err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, f.Config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func largest(x []float32, want []float64) float64 {
	d := 0.0
	for i := range want {
		d = max(d, math.Abs(float64(x[i])-want[i]))
	}
	return d
}

// The memory from every exporter's file must equal that of the PyTorch model, as far as the file's number format allows:
// exactly for float32, and within the rounding of the weights for the others.
func TestMemoryVectorAgainstPyTorch(t *testing.T) {
	// Measured: 2e-4, 6e-3 and 4e-2; all others below 2e-7.
	bound := map[string]float64{"fp16.onnx": 5e-4, "ort-int8-dynamic.onnx": 1e-2, "q4-with-past.onnx": 8e-2, "optimum-q4f16-qwen3-q4.onnx": 5e-4, "optimum-int8-neox.onnx": 1e-2}
	for _, c := range references(t) {
		t.Run(c.File, func(t *testing.T) {
			l := located(t, c.File)
			atol := max(bound[filepath.Base(c.File)], 2e-6)
			tried := 0
			for name, want := range c.Memory {
				enc, conv, _ := strings.Cut(name, "/")
				if enc == string(EncodingLayer) {
					continue
				}
				tried++
				got, err := Vector(l, c.Tokens, Encoding(enc), Convention(conv))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if len(got) != len(want.Data) {
					t.Fatalf("%s: %d numbers, want %d", name, len(got), len(want.Data))
				}
				d := largest(got, want.Data)
				t.Logf("%s: %.2g", name, d)
				if d > atol {
					t.Errorf("%s: differs by %g, allowed %g", name, d, atol)
				}
			}
			if tried == 0 {
				t.Error("the reference has no memory to compare")
			}
		})
	}
}

// handLayout is a layout of made-up parameters: W_E[v][i] = v + i/8, W_U[i][v] = v*v - i, gamma[i] = i + 1.
func handLayout(t *testing.T) *models.Layout {
	t.Helper()
	const vocab, d = 6, 4
	embed, unembed, gamma := make([]float32, vocab*d), make([]float32, vocab*d), make([]float32, d)
	for v := range vocab {
		for i := range d {
			embed[v*d+i] = float32(v) + float32(i)/8
			unembed[i*vocab+v] = float32(v*v - i)
			gamma[i] = float32(i + 1)
		}
	}
	m, err := graph.Load("../testdata/nanogpt-torchscript.onnx")
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	e1, e2 := e.Const(m.Graph, "we", graph.NewFloat32(embed, vocab, d)), e.Const(m.Graph, "wu", graph.NewFloat32(unembed, d, vocab))
	g := e.Const(m.Graph, "g", graph.NewFloat32(gamma, d))
	return &models.Layout{
		DModel: d, Vocab: vocab,
		Embed:   &weights.Weight{In: vocab, Out: d, Store: e1.Const(), Alpha: 1},
		Unembed: &weights.Weight{In: d, Out: vocab, Store: e2.Const(), Alpha: 1},
		Bodies:  []*models.Body{{Norm: &models.Norm{Gamma: g, Kind: models.LayerNorm}}},
	}
}

// The expected values are computed by hand: the mean over v of v*v is 55/6, so column v of W_U minus the mean is v*v - 55/6
// for every i.
func TestMemoryVectorByHand(t *testing.T) {
	rms := func(l *models.Layout) { l.Bodies[0].Norm.Kind = models.RMSNorm }
	capped := func(l *models.Layout) { rms(l); l.SoftCap = 30 }
	scaled := func(l *models.Layout) { l.Embed.Alpha, l.Unembed.Alpha = 8, 0.5 }
	for _, test := range []struct {
		enc    Encoding
		conv   Convention
		tokens []int64
		change func(*models.Layout)
		want   []float64
	}{
		{EncodingEmbed, ConventionFolded, []int64{1, 3}, rms, []float64{4, 4.25, 4.5, 4.75}},
		{EncodingUnembed, ConventionFolded, []int64{2, 0}, rms, []float64{-43 / 3., 2 * -43 / 3., 3 * -43 / 3., 4 * -43 / 3.}},
		{EncodingUnembed, ConventionRaw, []int64{2, 0}, rms, []float64{4, 2, 0, -2}},
		{EncodingUnembed, ConventionFolded, []int64{2, 0}, capped, []float64{4, 4, 0, -8}},
		{EncodingEmbed, ConventionRaw, []int64{1, 3}, scaled, []float64{4, 4.25, 4.5, 4.75}},
		{EncodingEmbed, ConventionFolded, []int64{1, 3}, scaled, []float64{-3, -1, 1, 3}},
		{EncodingUnembed, ConventionRaw, []int64{2, 0}, scaled, []float64{4, 2, 0, -2}},
		{EncodingUnembed, ConventionFolded, []int64{2, 0}, scaled, []float64{-0.75 * -43 / 3, -0.25 * -43 / 3, 0.25 * -43 / 3, 0.75 * -43 / 3}},
		{EncodingEmbed, ConventionRaw, []int64{1, 3}, nil, []float64{4, 4.25, 4.5, 4.75}},
		{EncodingEmbed, ConventionFolded, []int64{1, 3}, nil, []float64{-0.375, -0.125, 0.125, 0.375}},
		{EncodingEmbed, ConventionRaw, []int64{3, 3, 1, 3}, nil, []float64{4, 4.25, 4.5, 4.75}},
		{EncodingUnembed, ConventionRaw, []int64{2, 0}, nil, []float64{4, 2, 0, -2}},
		{EncodingUnembed, ConventionFolded, []int64{2, 0}, nil, []float64{-1.5 * -43 / 3, -0.5 * -43 / 3, 0.5 * -43 / 3, 1.5 * -43 / 3}},
	} {
		t.Run(fmt.Sprint(test.enc, test.conv, test.tokens), func(t *testing.T) {
			l := handLayout(t)
			if test.change != nil {
				test.change(l)
			}
			got, err := Vector(l, test.tokens, test.enc, test.conv)
			if err != nil || len(got) != len(test.want) || largest(got, test.want) > 1e-5 {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestMemoryVectorRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		enc    Encoding
		conv   Convention
		tokens []int64
		change func(*models.Layout)
		want   string
		hint   string
	}{
		{"no unembedding", EncodingUnembed, ConventionRaw, []int64{1}, func(l *models.Layout) { l.Unembed = nil }, "ends in hidden states", "--encoding embed"},
		{"no embedding", EncodingEmbed, ConventionRaw, []int64{1}, func(l *models.Layout) { l.Embed = nil }, "no table of token embeddings", "--encoding unembed"},
		{"no norm", EncodingUnembed, ConventionFolded, []int64{1}, func(l *models.Layout) { l.Bodies[0].Norm = nil }, "final norm was not found", "--convention raw"},
		{"norm of another width", EncodingUnembed, ConventionFolded, []int64{1}, func(l *models.Layout) { l.DModel = 3 }, "4 wide, d_model is 3", ""},
		{"embed without a norm", EncodingEmbed, ConventionFolded, []int64{1}, func(l *models.Layout) { l.Bodies[0].Norm = nil }, "final norm was not found", "--convention raw"},
		{"norm of another kind", EncodingEmbed, ConventionFolded, []int64{1}, func(l *models.Layout) { l.Bodies[0].Norm.Kind = "L1Norm" }, `the kind "L1Norm": want LayerNorm or RMSNorm`, ""},
		{"no tokens", EncodingEmbed, ConventionRaw, nil, nil, "no tokens", ""},
		{"token too large", EncodingEmbed, ConventionRaw, []int64{1, 6}, nil, "token 6: the vocabulary is 0 to 5", ""},
		{"negative token", EncodingUnembed, ConventionRaw, []int64{-1}, nil, "token -1", ""},
		{"layer", EncodingLayer, ConventionRaw, []int64{1}, nil, "requires a run of the model", ""},
		{"unknown encoding", "logits", ConventionRaw, []int64{1}, nil, `encoding "logits": want one of unembed, embed, layer`, ""},
		{"unknown convention", EncodingEmbed, "folded", []int64{1}, nil, `convention "folded": want one of tl-folded, raw`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := handLayout(t)
			if test.change != nil {
				test.change(l)
			}
			_, err := Vector(l, test.tokens, test.enc, test.conv)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(hint.Of(err), test.hint) {
				t.Errorf("got %v (hint %q), want %q (hint %q)", err, hint.Of(err), test.want, test.hint)
			}
		})
	}
	// The raw unembedding does not use the norm.
	l := handLayout(t)
	l.Bodies = nil
	if _, err := Vector(l, []int64{1}, EncodingUnembed, ConventionRaw); err != nil {
		t.Error(err)
	}
}

// These laws of the formulas must hold for a real file: order and repetition do not matter, memories of disjoint texts add
// up, and a folded memory has mean 0.
func TestE10MemoryVectorLaws(t *testing.T) {
	l := located(t, "../testdata/dynamo-op18-sdpa.onnx")
	for _, enc := range []Encoding{EncodingUnembed, EncodingEmbed} {
		for _, conv := range Conventions {
			e, err := NewEncoder(l, enc, conv)
			if err != nil {
				t.Fatal(err)
			}
			vector := func(t *rapid.T, tokens []int64) []float32 {
				x, err := e.Vector(tokens)
				if err != nil {
					t.Fatal(err)
				}
				return x
			}
			rapid.Check(t, func(t *rapid.T) {
				tokens := rapid.SliceOfNDistinct(rapid.Int64Range(0, 130), 2, 9, rapid.ID[int64]).Draw(t, "tokens")
				whole := vector(t, tokens)
				again := rapid.Permutation(append(slices.Clone(tokens), tokens[0])).Draw(t, "again")
				if got := vector(t, again); !slices.Equal(got, whole) {
					t.Fatalf("%v and %v differ", tokens, again)
				}
				cut := rapid.IntRange(1, len(tokens)-1).Draw(t, "cut")
				a, b := vector(t, tokens[:cut]), vector(t, tokens[cut:])
				mean := 0.0
				for i := range whole {
					mean += float64(whole[i]) / float64(len(whole))
					if d := math.Abs(float64(a[i]) + float64(b[i]) - float64(whole[i])); d > 1e-5 {
						t.Fatalf("parts do not add up: %g", d)
					}
				}
				if conv == ConventionFolded && math.Abs(mean) > 1e-6 {
					t.Fatalf("mean %g", mean)
				}
			})
		}
	}
}

func TestLayerVector(t *testing.T) {
	in := []float32{1, 2, 6}
	for _, test := range []struct {
		kind models.NormKind
		conv Convention
		want []float32
	}{
		{models.LayerNorm, ConventionRaw, in},
		{models.LayerNorm, ConventionFolded, []float32{-2, -1, 3}},
		{models.RMSNorm, ConventionRaw, in},
		{models.RMSNorm, ConventionFolded, in},
	} {
		l := &models.Layout{Bodies: []*models.Body{{Norm: &models.Norm{Kind: test.kind}}}}
		if got, err := LayerVector(l, in, test.conv); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s, %s: got %v, %v; want %v", test.kind, test.conv, got, err, test.want)
		}
	}
	if !slices.Equal(in, []float32{1, 2, 6}) {
		t.Errorf("the argument was changed: %v", in)
	}
	if _, err := LayerVector(&models.Layout{}, in, ConventionFolded); err == nil || hint.Of(err) != "use --convention raw" {
		t.Errorf("no final norm: %v", err)
	}
}

func TestParseChoices(t *testing.T) {
	for _, e := range Encodings {
		if got, err := parseEncoding(string(e)); got != e || err != nil {
			t.Errorf("%q: %q, %v", e, got, err)
		}
	}
	for _, c := range Conventions {
		if got, err := parseConvention(string(c)); got != c || err != nil {
			t.Errorf("%q: %q, %v", c, got, err)
		}
	}
	for _, s := range []string{"", "Embed", "embed "} {
		if got, err := parseEncoding(s); err == nil {
			t.Errorf("%q: got %q", s, got)
		}
	}
	_, err := parseEncoding("wte")
	if want := `encoding "wte": want one of unembed, embed, layer`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
