package rewrite

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

const testdata = "../models/testdata"

func fixtures(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, where := range []string{"*.onnx", "families/*.onnx", "families/*/model.onnx"} {
		some, err := filepath.Glob(filepath.Join(testdata, where))
		if err != nil || len(some) == 0 {
			t.Fatalf("no fixtures %s (%v)", where, err)
		}
		files = append(files, some...)
	}
	return files
}

// tryLocate recognises a model, with the configuration in its folder.
func tryLocate(t *testing.T, m *graph.Model) (*models.Layout, error) {
	t.Helper()
	f, err := folder.Open(m.Path())
	if err != nil {
		t.Fatal(err)
	}
	return recognise.Locate(t.Context(), m, f.Config)
}

func load(t *testing.T, path string) (*graph.Model, *models.Layout) {
	t.Helper()
	m, err := graph.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return m, locate(t, m)
}

// often skips three of four cases of a test in a short run, such as that of the race detector. n counts the cases.
func often(t *testing.T, n *int) {
	t.Helper()
	if *n++; testing.Short() && *n%4 != 0 {
		t.Skip("a short run takes every fourth case")
	}
}

// locate recognises a model that is a decoder.
func locate(t *testing.T, m *graph.Model) *models.Layout {
	t.Helper()
	l, err := tryLocate(t, m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// changed returns a fixture after an edit, recognised again.
func changed(t *testing.T, file string, change func(e *graph.Edit, l *models.Layout)) (*graph.Model, *models.Layout) {
	t.Helper()
	m, l := load(t, filepath.Join(testdata, file+".onnx"))
	e := m.Edit()
	change(e, l)
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	return m, locate(t, m)
}

func allLayers(l *models.Layout) []int {
	var out []int
	for i := range l.Layers {
		out = append(out, i)
	}
	return out
}

// attn requests memories at attn_out, and mlp requests memories at mlp_out.
func attn(layers ...int) []Inject { return []Inject{{models.PortAttnOut, layers}} }
func mlp(layers ...int) []Inject  { return []Inject{{models.PortMLPOut, layers}} }

// everything requests every port that the model can have.
func everything(l *models.Layout) Request {
	var req Request
	for _, site := range models.Sites() {
		if site.Intervention().Missing(l.Bodies[0].Layers[0]) == "" {
			req.Inject = append(req.Inject, Inject{site, allLayers(l)})
		}
	}
	for _, k := range Kinds {
		if k.has(l.Bodies[0].Layers[0]) {
			req.Expose = append(req.Expose, Expose{k, allLayers(l)})
		}
	}
	return req
}

// A patched file must have the ports in its manifest, must be recognised as the same model, and must refuse the same ports
// again, in every weights mode.
func TestPatchedFiles(t *testing.T) {
	for _, path := range fixtures(t) {
		if _, err := os.Stat(path + ".data"); err == nil {
			continue // the patched file refers to the weights there, not to the original
		}
		for _, mode := range []graph.Weights{graph.Ref, graph.Copy, graph.Embed} {
			t.Run(filepath.Base(path)+"/"+string(mode), func(t *testing.T) {
				dir := t.TempDir()
				src := filepath.Join(dir, "model.onnx")
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if filepath.Base(path) == "model.onnx" { // in a separate folder, with all files that it reads
					err = os.CopyFS(dir, os.DirFS(filepath.Dir(path)))
				} else {
					err = os.WriteFile(src, data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				m, l := load(t, src)
				req := everything(l)
				man, _, err := Apply(t.Context(), m, l, req)
				if err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(dir, "patched.onnx")
				if _, err := Save(t.Context(), m, man, out, mode, false); err != nil {
					t.Fatal(err)
				}
				again, l2 := load(t, out)
				got, err := models.ReadManifest(again)
				if err != nil {
					t.Fatal(err)
				}
				if got.Weights != string(mode) || got.Source.File != "model.onnx" || got.Source.Bytes != int64(len(data)) || got.Heads != l.Heads {
					t.Errorf("manifest %+v", got)
				}
				wantPorts := l.Layers * (len(req.Expose) + 2*len(req.Inject))
				if len(got.Ports) != wantPorts {
					t.Errorf("%d ports, want %d", len(got.Ports), wantPorts)
				}
				for _, p := range got.Ports {
					v := again.Graph.Lookup(p.Name)
					switch {
					case v == nil:
						t.Errorf("no value %s", p.Name)
					case v.Type().DType != graph.Float32 || len(v.Type().Dims) != len(p.Shape):
						t.Errorf("%s is %v, the manifest says %v", p.Name, v.Type(), p.Shape)
					case p.IO == "in" && !v.IsInput() || p.IO == "out" && !v.IsOutput():
						t.Errorf("%s is not an %sput", p.Name, p.IO)
					}
				}
				if l2.Family != l.Family || l2.Layers != l.Layers || l2.Heads != l.Heads || l2.DModel != l.DModel || len(l2.Bodies) != len(l.Bodies) {
					t.Errorf("recognised as %s of %d layers, %d heads", l2.Family, l2.Layers, l2.Heads)
				}
				before := graph.Format(again)
				_, _, err = Apply(t.Context(), again, l2, Request{Inject: attn(1)})
				if err == nil || !strings.Contains(err.Error(), "port blocks.1.attn.memory already exists") {
					t.Errorf("a second port of the same name: %v", err)
				}
				if after := graph.Format(again); after != before {
					t.Error("the refused request changed the model")
				}
				if man.Weights == "ref" {
					if st, _ := os.Stat(out); st.Size() > int64(len(data)) {
						t.Errorf("a reference file of %d bytes, the original has %d", st.Size(), len(data))
					}
				}
				// Another export under the original's name, of the same size.
				if err := os.WriteFile(src, make([]byte, len(data)), 0o600); err != nil {
					t.Fatal(err)
				}
				if again, err = graph.Load(out); err != nil {
					t.Fatal(err)
				}
				_, err = models.ReadManifest(again)
				if mode == graph.Ref { // and a link to it
					if err := errors.Join(os.Rename(src, filepath.Join(dir, "other.onnx")), os.Symlink("other.onnx", src)); err != nil {
						t.Fatal(err)
					}
					linked, failed := graph.Load(out)
					if failed == nil {
						_, failed = models.ReadManifest(linked)
					}
					if fmt.Sprint(failed) != fmt.Sprint(err) {
						t.Errorf("the original was replaced by a link: %v, by a file: %v", failed, err)
					}
				}
				if mode == graph.Ref && (err == nil || !strings.Contains(err.Error(), "model.onnx have changed since the file was patched")) || mode != graph.Ref && err != nil {
					t.Errorf("the original was replaced: %v", err)
				}
			})
		}
	}
}

// replacing is a stored memory that replaces what is there at a phrase.
func replacing(phrase string, tokens ...int64) Bake {
	return Bake{models.Baked{Layer: 2, Tau: 1, Keep: new(float64), Phrase: phrase, Tokens: [][]int64{tokens}}, make([]float32, 32)}
}

// An earlier memory must be distinguished from a bias: the site's own value and b_O must not change, whatever was added in
// whichever order.
func TestMemoriesAreNoBiases(t *testing.T) {
	type step func(models.PortKind, *models.Layout) Request
	inject := func(site models.PortKind, _ *models.Layout) Request {
		return Request{Inject: []Inject{{site, []int{1}}}}
	}
	gate := func(site models.PortKind, _ *models.Layout) Request {
		return Request{Gate: []Inject{{site, []int{1}}}}
	}
	bake := func(site models.PortKind, l *models.Layout) Request {
		v := make([]float32, site.Intervention().MemoryLen(l))
		v[1] = 2
		return Request{Bake: []Bake{{models.Baked{Site: site, Layer: 1, Tau: 1}, v}}}
	}
	scale := func(site models.PortKind, l *models.Layout) Request {
		half := 0.5
		return Request{Bake: []Bake{{Baked: models.Baked{Site: site, Layer: 1, Keep: &half}}}}
	}
	phrase := func(site models.PortKind, l *models.Layout) Request {
		zero, b := 0.0, bake(site, l).Bake[0]
		b.Keep, b.Phrase, b.Tokens = &zero, "a phrase", [][]int64{{3, 1, 4}, {1, 5}}
		if l.Tokens().Type().Dims[1].Size == 1 { // a file for one step
			b.Tokens = [][]int64{{3}}
		}
		return Request{Bake: []Bake{b}}
	}
	both := func(site models.PortKind, l *models.Layout) Request {
		return Request{Inject: inject(site, l).Inject, Bake: append(bake(site, l).Bake, scale(site, l).Bake...)}
	}
	n := 0
	for _, path := range fixtures(t) {
		original, _ := load(t, path)
		for name, steps := range map[string][]step{
			"inject": {inject}, "bake": {bake}, "both": {both}, "bake twice": {bake, bake}, "inject, bake": {inject, bake}, "bake, inject, bake": {bake, inject, bake},
			"gate": {gate}, "scale": {scale}, "scale, gate, bake, inject": {scale, gate, bake, inject}, "bake, scale, bake": {bake, scale, bake},
			"phrase": {phrase}, "bake, phrase, inject, phrase": {bake, phrase, inject, phrase},
		} {
			for _, site := range models.Sites() {
				t.Run(filepath.Base(path)+"/"+string(site)+"/"+name, func(t *testing.T) {
					often(t, &n)
					m := original.Clone()
					before := locate(t, m)
					l := before
					for _, step := range steps {
						if _, _, err := Apply(t.Context(), m, l, step(site, l)); err != nil {
							t.Fatal(err)
						}
						l = locate(t, m)
					}
					for i, b := range l.Bodies {
						for j, l := range b.Layers {
							was := before.Bodies[i].Layers[j]
							if !slices.Equal(l.AttnOut, was.AttnOut) || !slices.Equal(l.BO, was.BO) || !slices.Equal(l.MLPOut, was.MLPOut) || l.Z != was.Z {
								t.Errorf("layer %d: z %v, attn_out %v, b_O %v, mlp_out %v; were %v, %v, %v, %v", j, l.Z, l.AttnOut, l.BO, l.MLPOut, was.Z, was.AttnOut, was.BO, was.MLPOut)
							}
							if was.ResidPost != nil && !slices.Equal(l.ResidPost, was.ResidPost) || !slices.Equal(l.ResidPre, was.ResidPre) && (site != models.PortResidPost || j != 2) {
								t.Errorf("layer %d: resid_pre %v, resid_post %v; were %v, %v", j, l.ResidPre, l.ResidPost, was.ResidPre, was.ResidPost)
							}
						}
					}
				})
			}
		}
	}
}

// Two patches in sequence must give the ports of one patch with both.
func TestPatchesCompose(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, l := load(t, path)
			z, _ := KindByName("z")
			out, _ := KindByName("attn_out")
			steps := []Request{
				{Inject: append(attn(0), mlp(1)...)},
				{Expose: []Expose{{out, allLayers(l)}}},
				{Inject: attn(1), Expose: []Expose{{z, []int{1}}}},
			}
			want := 4 + l.Layers + 3
			for _, req := range steps {
				if _, _, err := Apply(t.Context(), m, l, req); err != nil {
					t.Fatal(err)
				}
				var err error
				if l, err = tryLocate(t, m); err != nil {
					t.Fatal(err)
				}
			}
			man, err := models.ReadManifest(m)
			if err != nil || len(man.Ports) != want {
				t.Fatalf("%d ports, want %d (%v)", len(man.Ports), want, err)
			}
			// attn_out is the value before the memory of layer 0, although that memory was injected first.
			for _, b := range l.Bodies {
				port := b.Graph.Lookup(models.PortAttnOut.Name(0))
				if b.Graph.Owner() != nil {
					continue
				}
				for v := port; v.Producer() != nil && v != b.Layers[0].AttnOut[0]; v = v.Producer().In(0) {
					for _, in := range v.Producer().Inputs() {
						if in != nil && in.IsInput() && strings.HasPrefix(in.Name(), "blocks.") {
							t.Errorf("attn_out of layer 0 reads %s", in.Name())
						}
					}
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	kind := func(name string) *Kind {
		k, err := KindByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	half, holed := make([]float32, 32), make([]float32, 32)
	half[5], holed[3] = 0.5, float32(math.NaN())
	tests := []struct {
		name, file string
		req        Request
		want, hint string
	}{
		{"pattern of a fused file", "ort-fused-attention", Request{Expose: []Expose{{kind("pattern"), []int{0}}}},
			"expose pattern: layer 0: com.microsoft.Attention computes the probabilities inside and has no output for them",
			"these kinds can be exposed: z, result, out, attn_out, resid_pre, resid_mid, resid_post, mlp_out"},
		{"resid_mid of a parallel block", "gpt-j", Request{Expose: []Expose{{kind("resid_mid"), []int{1}}}},
			"expose resid_mid: layer 1: attention and MLP run in parallel: there is no residual stream between them",
			"these kinds can be exposed: z, result, pattern, out, attn_out, resid_pre, resid_post, mlp_out"},
		{"layer out of range", "torchscript-op10", Request{Inject: attn(3)}, "layer 3, the model has 0 to 2", ""},
		{"the same port twice", "torchscript-op10", Request{Inject: attn(1, 1)}, "port blocks.1.attn.memory already exists", "onnx-inject inspect lists the ports the file has"},
		{"a site without intervention", "torchscript-op10", Request{Inject: []Inject{{models.PortResidMid, []int{1}}}}, `inject: site "resid_mid": want one of resid_pre, z, attn_out, mlp_out, resid_post`, ""},
		{"baked at a site without intervention", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Site: "resid_mid", Layer: 1}, nil}}}, `bake: site "resid_mid": want one of resid_pre, z, attn_out, mlp_out, resid_post`, ""},
		{"nothing baked", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Site: "z", Layer: 1}, nil}}}, "bake: neither a memory nor a factor", ""},
		{"heads of a site without heads", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Layer: 1, Heads: []int{1}, Tau: 1}, make([]float32, 32)}}}, "bake: heads of attn_out, which has no heads", ""},
		{"a head out of range", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Site: "z", Layer: 1, Heads: []int{4}, Tau: 1}, make([]float32, 32)}}}, "bake: head 4, the model has 0 to 3", ""},
		{"layer below zero", "torchscript-op10", Request{Inject: attn(-1)}, "layer -1, the model has 0 to 2", ""},
		{"baked tau of no size", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Layer: 1, Tau: math.Inf(-1)}, make([]float32, 32)}}}, "bake: tau -Inf, want a finite number", ""},
		{"baked vector of another width", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Layer: 1, Tau: 1}, make([]float32, 31)}}}, "bake: a memory of 31 numbers, d_model is 32", ""},
		{"baked numbers beyond float16", "fp16", Request{Bake: []Bake{{models.Baked{Layer: 1, Tau: -1e6}, half}}}, "bake: layer 1: tau -1e+06 times the memory gives 5e+05, the largest float16 is 65504",
			"a tau below 1.31e+05 fits"},
		{"baked numbers beyond float32", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Layer: 2, Tau: 1e39}, half}}}, "bake: layer 2: tau 1e+39 times the memory gives 5e+38, the largest float32 is 3.40282e+38",
			"a tau below 6.81e+38 fits"},
		{"a phrase of no tokens", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Layer: 2, Tau: 1, Tokens: [][]int64{{}}}, half}}}, "bake: a phrase without tokens", ""},
		{"a phrase of other tokens", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Layer: 2, Tau: 1, Phrase: "x", Tokens: [][]int64{{1, 999999}}}, half}}}, `bake: token 999999 of the phrase "x", the vocabulary is 0 to 130; is this the model's own tokenizer?`, ""},
		{"two memories for a phrase", "torchscript-op10", Request{Bake: []Bake{replacing("a b c", 1, 2, 3), replacing("b c", 2, 3)}}, `bake: "a b c" and "b c" end with the same tokens, and both replace attn_out of layer 2: want one memory for a phrase`, ""},
		{"baked vector without a number", "torchscript-op10", Request{Bake: []Bake{{models.Baked{Layer: 2, Tau: 1}, holed}}}, "bake: number 3 of the memory is NaN", ""},
		{"prefill of a one-token file", "optimum-1-with-past", Request{Prefill: true}, `prefill: input "input_ids" takes one token at a time`,
			"use the file of the folder that takes whole prompts (decoder_model.onnx or model.onnx)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, l := load(t, filepath.Join(testdata, tt.file+".onnx"))
			before := graph.Format(m)
			_, _, err := Apply(t.Context(), m, l, tt.req)
			if err == nil || err.Error() != tt.want || hint.Of(err) != tt.hint {
				t.Errorf("got  %v\nhint %q\nwant %s\nhint %q", err, hint.Of(err), tt.want, tt.hint)
			}
			if diff := cmp.Diff(before, graph.Format(m)); diff != "" {
				t.Errorf("the refused request changed the model: %s", diff)
			}
		})
	}
}

// A value that one branch of a merged file lacks cannot be a port, whichever branch it is.
func TestBranchesThatDiffer(t *testing.T) {
	for i, want := range []string{"else_branch", "then_branch"} {
		m, l := changed(t, "optimum-1-merged", func(e *graph.Edit, l *models.Layout) {
			layer := l.Bodies[i].Layers[2]
			for _, u := range layer.ResidPost[0].Uses() { // the last block loses its MLP
				e.Redirect(u, layer.ResidMid[0])
			}
			e.Prune()
		})
		kind, err := KindByName("mlp_out")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Apply(t.Context(), m, l, Request{Expose: []Expose{{kind, []int{0, 1}}}}); err != nil {
			t.Fatal(err)
		}
		if l, err = tryLocate(t, m); err != nil {
			t.Fatal(err)
		}
		want = "expose mlp_out: " + want + ": layer 2: the block has no MLP"
		_, _, err = Apply(t.Context(), m, l, Request{Expose: []Expose{{kind, []int{2}}}})
		if err == nil || err.Error() != want || hint.Of(err) != "these kinds can be exposed: z, result, pattern, out, attn_out, resid_pre, resid_mid, resid_post" {
			t.Errorf("%v (%s), want %s", err, hint.Of(err), want)
		}
		if _, _, err = Apply(t.Context(), m, l, Request{Inject: mlp(0, 1)}); err != nil {
			t.Fatal(err)
		}
		want = strings.Replace(want, "expose", "inject", 1)
		if _, _, err = Apply(t.Context(), m, locate(t, m), Request{Inject: mlp(2)}); err == nil || err.Error() != want || hint.Of(err) != "these sites can be changed: resid_pre, z, attn_out, resid_post" {
			t.Errorf("%v (%s), want %s", err, hint.Of(err), want)
		}
	}
}

// Prefill must leave a model that takes only tokens: no cache inputs, no cache outputs, one body, and for a merged file the
// branch without a cache, which has fewer nodes.
func TestPrefill(t *testing.T) {
	for name, want := range map[string]struct {
		signature string
		nodes     int
	}{
		"optimum-1-merged":      {"input_ids attention_mask -> logits", 818},
		"optimum-2-cache":       {"input_ids attention_mask position_ids -> logits", 748},
		"ort-fused-attention":   {"input_ids position_ids attention_mask -> logits", 36},
		"gpt-neo":               {"input_ids attention_mask -> logits", 347},
		"gpt-j":                 {"input_ids attention_mask -> logits", 548},
		"torchscript-op17-mask": {"input_ids attention_mask -> logits", 748},
	} {
		t.Run(name, func(t *testing.T) {
			m, l := load(t, filepath.Join(testdata, name+".onnx"))
			_, l2, err := Apply(t.Context(), m, l, Request{Prefill: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := signature(m); got != want.signature {
				t.Errorf("%s, want %s", got, want.signature)
			}
			if got := len(m.Graph.Nodes()); got != want.nodes {
				t.Errorf("%d nodes, want %d", got, want.nodes)
			}
			if len(l2.Bodies) != 1 || l2.Layers != l.Layers {
				t.Errorf("%d bodies of %d layers", len(l2.Bodies), l2.Layers)
			}
		})
	}
}

func signature(m *graph.Model) string {
	var words []string
	for _, v := range m.Graph.Inputs() {
		words = append(words, v.Name())
	}
	words = append(words, "->")
	for _, v := range m.Graph.Outputs() {
		words = append(words, v.Name())
	}
	return strings.Join(words, " ")
}

// A value with four axes is not always a cache.
func TestPrefillKeeps(t *testing.T) {
	m, l := load(t, filepath.Join(testdata, "optimum-2-cache.onnx"))
	pattern, _ := KindByName("pattern")
	_, l, err := Apply(t.Context(), m, l, Request{Expose: []Expose{{pattern, []int{1}}}})
	if err != nil {
		t.Fatal(err)
	}
	attentions := l.Bodies[0].Layers[0].Pattern
	e := m.Edit()
	e.Input("mask", graph.TensorType(graph.Float32, "batch", 1, "query", "key"))
	e.Input("narrow", graph.TensorType(graph.Float32, "batch", l.Heads, "past", l.DHead+1))
	e.Input("ids", graph.TensorType(graph.Int64, "batch", l.Heads, "past", l.DHead))
	e.Input("three", graph.TensorType(graph.Float32, 3, "batch", l.Heads, "past", l.DHead))
	e.Input("flag", graph.TensorType(graph.Bool, 1))
	e.Output(m.Graph, attentions)
	e.Retype(attentions, graph.TensorType(graph.Float32, "batch", l.Heads, "query", "key"))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Apply(t.Context(), m, l, Request{Prefill: true}); err != nil {
		t.Fatal(err)
	}
	want := "input_ids attention_mask position_ids mask narrow ids three flag -> logits blocks.1.attn.hook_pattern " + attentions.Name()
	if got := signature(m); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Without a cache nothing must change, even if other values have four axes and no sizes.
func TestPrefillWithoutCache(t *testing.T) {
	for _, path := range fixtures(t) {
		m, l := load(t, path)
		if len(m.Graph.Outputs()) > 1 {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			layer := l.Bodies[0].Layers[0]
			e := m.Edit()
			e.Input("flag", graph.TensorType(graph.Bool, 1))
			for _, v := range []*graph.Value{layer.Pattern, layer.Z} {
				for ; v != nil && v.Producer() != nil && !v.IsOutput(); v = v.Producer().In(0) { // including the scores and the queries
					e.Output(m.Graph, v)
					e.Retype(v, graph.TensorType(graph.Float32, "batch", "head", "query", nil))
					if n := v.Producer(); n.Is("Gemm", "MatMulInteger", "com.microsoft.Attention", "Split") || n.Is("MatMul") && n.In(1).Const() != nil {
						break
					}
				}
			}
			if err := e.Commit(); err != nil {
				t.Fatal(err)
			}
			l, err := tryLocate(t, m)
			if err != nil {
				t.Fatal(err)
			}
			before := graph.Format(m)
			man, _, err := Apply(t.Context(), m, l, Request{Prefill: true})
			if err != nil {
				t.Fatal(err)
			}
			after := strings.Replace(graph.Format(m), fmt.Sprintf("meta %q %q\n", models.ManifestKey, man.Encode()), "", 1)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Present keys and values must be identified by the fact that attention reads them, so that their shapes need not be
// declared.
func TestPrefillOfUndeclaredOutputs(t *testing.T) {
	for name, want := range map[string]string{
		"optimum-1-merged":    "input_ids attention_mask -> logits",
		"optimum-2-cache":     "input_ids attention_mask position_ids -> logits",
		"ort-fused-attention": "input_ids position_ids attention_mask -> logits",
		"gpt-neo":             "input_ids attention_mask -> logits",
		"gpt-j":               "input_ids attention_mask -> logits",
	} {
		m, l := load(t, filepath.Join(testdata, name+".onnx"))
		e := m.Edit()
		for _, v := range m.Graph.Outputs() {
			if v != l.Logits() {
				e.Retype(v, graph.Type{DType: graph.Float32})
			}
		}
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Apply(t.Context(), m, l, Request{Prefill: true}); err != nil {
			t.Fatal(err)
		}
		if got := signature(m); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// An input that attention reads as keys or values is a cache. A cache of an unknown shape must be refused.
func TestPrefillOfStrangeCache(t *testing.T) {
	m, l := load(t, filepath.Join(testdata, "optimum-2-cache.onnx"))
	e := m.Edit()
	e.Retype(m.Graph.Lookup("past_key_values.1.key"), graph.Type{DType: graph.Float32})
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	want := `prefill: input "past_key_values.1.key" is float32, want keys or values [batch, 4, past, 8]`
	if _, _, err := Apply(t.Context(), m, l, Request{Prefill: true}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A mask that is added to the scores has as many axes as a cache, and must stay.
func TestPrefillKeepsMask(t *testing.T) {
	m, l := changed(t, "optimum-2-cache", func(e *graph.Edit, l *models.Layout) {
		g := l.Bodies[0].Graph
		mask := e.Input("mask", graph.TensorType(graph.Float32, "batch", "head", "query", "key"))
		for _, n := range g.Nodes() {
			if n.Is("Softmax") {
				e.Redirect(graph.Use{Node: n, Slot: 0}, e.Node(g, graph.Spec{Op: "Add", Inputs: []*graph.Value{n.In(0), mask}}))
			}
		}
	})
	if _, _, err := Apply(t.Context(), m, l, Request{Prefill: true}); err != nil {
		t.Fatal(err)
	}
	if got, want := signature(m), "input_ids attention_mask position_ids mask -> logits"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A cache of a fixed length can be dropped only if that length is 0.
func TestPrefillOfFixedCache(t *testing.T) {
	for size, want := range map[int]string{
		0: "",
		3: `prefill: input "past_key_values.0.key" holds exactly 3 earlier positions, want a cache that may be empty`,
	} {
		m, l := load(t, filepath.Join(testdata, "optimum-2-cache.onnx"))
		e := m.Edit()
		for _, v := range m.Graph.Inputs() {
			if len(v.Type().Dims) == 4 {
				e.Retype(v, graph.TensorType(graph.Float32, "batch", l.Heads, size, l.DHead))
			}
		}
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, _, err := Apply(t.Context(), m, l, Request{Prefill: true}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d earlier positions: %q, want %q", size, got, want)
		}
	}
}

// The last position must be cut out before the unembedding, even if a bias (on either side of its Add), a conversion, a
// factor or a soft cap follows. It must be cut out after an unembedding that rounds by the range of all positions.
func TestLastLogits(t *testing.T) {
	for name, c := range map[string]struct {
		file   string
		change func(e *graph.Edit, l *models.Layout)
		before bool
	}{
		"nothing after it":          {"torchscript-op10", nothing, true},
		"a bias and a Cast":         {"gpt-j", nothing, true},
		"the bias as first operand": {"gpt-j", swapBias, true},
		"a factor":                  {"torchscript-op10", halveLogits, true},
		"scaled logits":             {"families/optimum-cohere", nothing, true},
		"a soft cap":                {"families/optimum-gemma2", nothing, true},
		"four bits":                 {"families/genai-int4-qwen2-q4", nothing, true},
		"eight bits":                {"ort-int8-dynamic", nothing, false},
		"in two branches":           {"optimum-1-merged", nothing, true},
		"several choices":           {"torchscript-op10", choices, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, l := changed(t, c.file, c.change)
			_, l, err := Apply(t.Context(), m, l, Request{LastLogits: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Unembed.Node.In(0).Producer().Is("Slice"); got != c.before {
				t.Errorf("cut before the unembedding: %t, want %t", got, c.before)
			}
			if d := l.Logits().Type().Dims; d[len(d)-2].Size != 1 || d[0].Size == 1 || len(d) == 4 && d[1].Size == 1 {
				t.Errorf("logits %v, want one position", d)
			}
		})
	}
}

// Logits [batch, vocab] are already those of the last position.
func TestLastLogitsOfOnePosition(t *testing.T) {
	m, l := changed(t, "torchscript-op10", onlyLast)
	nodes := len(m.Graph.Nodes())
	if _, _, err := Apply(t.Context(), m, l, Request{LastLogits: true}); err != nil {
		t.Fatal(err)
	}
	if got := l.Logits().Type().String(); got != "float32[batch, 131]" || len(m.Graph.Nodes()) != nodes {
		t.Errorf("logits %s, %d nodes of %d", got, len(m.Graph.Nodes()), nodes)
	}
}

// The axis of positions must follow from the declared rank, else from the computation of the logits. Otherwise it is
// unknown.
func TestLastLogitsOfOtherRanks(t *testing.T) {
	retype := func(dims ...any) func(*graph.Edit, *models.Layout) {
		return func(e *graph.Edit, l *models.Layout) { e.Retype(l.Logits(), graph.TensorType(graph.Float32, dims...)) }
	}
	undeclare := func(e *graph.Edit, l *models.Layout) { e.Retype(l.Logits(), graph.Type{DType: graph.Float32}) }
	m, l := changed(t, "torchscript-op10", undeclare)
	if _, _, err := Apply(t.Context(), m, l, Request{LastLogits: true}); err != nil {
		t.Errorf("a shape that follows from the graph: %v", err)
	}
	for want, change := range map[string]func(*graph.Edit, *models.Layout){
		"the file does not declare the shape of the logits, so the axis of positions is unknown": func(e *graph.Edit, l *models.Layout) {
			undeclare(e, l)
			n := l.Unembed.Node // rows, as many as a run has
			every := e.Node(n.Graph(), graph.Spec{Op: "GatherND", Inputs: []*graph.Value{n.In(0), l.Tokens()}})
			e.Redirect(graph.Use{Node: n, Slot: 0}, every)
		},
		"logits of 1 axes, want [batch, vocab], [batch, pos, vocab] or [batch, choice, pos, vocab]": retype(131),
		"logits of 5 axes, want [batch, vocab], [batch, pos, vocab] or [batch, choice, pos, vocab]": retype("batch", "a", "b", "pos", 131),
	} {
		m, l := changed(t, "torchscript-op10", change)
		before := graph.Format(m)
		if _, _, err := Apply(t.Context(), m, l, Request{LastLogits: true, Prefill: true}); err == nil || err.Error() != "last logits: "+want {
			t.Errorf("%v, want %s", err, want)
		}
		if _, _, err := FanOut(t.Context(), m, l, Grid{Sites: attnOnly}); err == nil || err.Error() != "fan-out: "+want {
			t.Errorf("%v, want %s", err, want)
		}
		if graph.Format(m) != before {
			t.Error("the refused request changed the model")
		}
	}
}

// onlyLast makes logits [batch, vocab], as in exports of code that generates text.
func onlyLast(e *graph.Edit, l *models.Layout) {
	n := l.Unembed.Node
	last := e.Const(n.Graph(), "last", graph.NewInt64([]int64{-1}))
	cut := e.Node(n.Graph(), graph.Spec{Op: "Gather", Name: "only_last", Attrs: graph.Attrs{"axis": 1}, Inputs: []*graph.Value{n.In(0), last}})
	e.Redirect(graph.Use{Node: n, Slot: 0}, cut)
	e.Retype(l.Logits(), graph.TensorType(graph.Float32, "batch", l.Vocab))
}

// choices makes logits [batch, choice, pos, vocab], as in a model with a head for multiple choice.
func choices(e *graph.Edit, l *models.Layout) {
	n := l.Unembed.Node
	wide := e.Node(n.Graph(), graph.Spec{Op: "Unsqueeze", Name: "choices", Attrs: graph.Attrs{"axes": []int64{1}}, Inputs: []*graph.Value{n.In(0)}})
	e.Redirect(graph.Use{Node: n, Slot: 0}, wide)
	e.Retype(l.Logits(), graph.TensorType(graph.Float32, "batch", "choice", "pos", l.Vocab))
}

func nothing(*graph.Edit, *models.Layout) {}

func swapBias(e *graph.Edit, l *models.Layout) {
	add := l.Logits().Producer().In(0).Producer()
	e.Redirect(graph.Use{Node: add, Slot: 0}, add.In(1))
	e.Redirect(graph.Use{Node: add, Slot: 1}, add.In(0))
}

func halveLogits(e *graph.Edit, l *models.Layout) {
	old := l.Logits()
	half := e.Const(old.Graph(), "half", graph.NewFloat32([]float32{0.5}))
	e.ReplaceOutput(old, e.Node(old.Graph(), graph.Spec{Op: "Mul", Name: "halved", Inputs: []*graph.Value{old, half}, Type: old.Type()}))
}
