package lens

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// openDemo writes the embedded model to a folder and opens it.
func openDemo(t *testing.T, o Options) *Lens {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	o.Texts, o.Runtime.Threads = memory.PaperTexts, 1
	l, err := openPath(t, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// openPath opens a file or folder until the test ends.
func openPath(t *testing.T, path string, o Options) (*Lens, error) {
	t.Helper()
	d, err := decoder.Open(path)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { d.Close() })
	return Open(t.Context(), orttest.Host(t), d, o)
}

// gpt2 is the embedded model in float64, from the tensors of its file by their names: nothing here was recognised.
type gpt2 struct {
	t     *testing.T
	m     *graph.Model
	heads int
}

func (g *gpt2) weight(name string) []float64 {
	g.t.Helper()
	x, err := weights.Vector(g.m.Graph.Lookup("transformer." + name))
	if err != nil {
		g.t.Fatal(err)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func (g *gpt2) norm(x []float64, name string) []float64 {
	gamma, beta := g.weight(name+".weight"), g.weight(name+".bias")
	mean, sigma := moments(x)
	out := make([]float64, len(x))
	for i := range x {
		out[i] = (x[i]-mean)/sigma*gamma[i] + beta[i]
	}
	return out
}

// moments are the mean and the root of the variance plus GPT-2's epsilon.
func moments(x []float64) (mean, sigma float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sigma += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, math.Sqrt(sigma + 1e-5)
}

// linear is x · W + b with W [in, out].
func linear(x, w, b []float64) []float64 {
	out := make([]float64, len(b))
	copy(out, b)
	for i, v := range x {
		for j := range out {
			out[j] += v * w[i*len(out)+j]
		}
	}
	return out
}

// run computes the results [layer][head][d_model] at the last position and the stream after the last layer.
func (g *gpt2) run(ids []int64, layers int) (results [][][]float64, stream []float64) {
	wte, wpe := g.weight("wte.weight"), g.weight("wpe.weight")
	d := len(g.weight("h.0.ln_1.weight"))
	dHead := d / g.heads
	x := make([][]float64, len(ids))
	for p, id := range ids {
		x[p] = make([]float64, d)
		for i := range d {
			x[p][i] = wte[int(id)*d+i] + wpe[p*d+i]
		}
	}
	for l := range layers {
		at := "h." + string(rune('0'+l))
		qkv := make([][]float64, len(ids))
		w, b := g.weight(at+".attn.c_attn.weight"), g.weight(at+".attn.c_attn.bias")
		for p := range ids {
			qkv[p] = linear(g.norm(x[p], at+".ln_1"), w, b)
		}
		wo, bo := g.weight(at+".attn.c_proj.weight"), g.weight(at+".attn.c_proj.bias")
		fc, bfc := g.weight(at+".mlp.c_fc.weight"), g.weight(at+".mlp.c_fc.bias")
		proj, bproj := g.weight(at+".mlp.c_proj.weight"), g.weight(at+".mlp.c_proj.bias")
		for p := range slices.Backward(ids) { // from the end: earlier positions are read, later ones are not
			var perHead [][]float64
			for h := range g.heads {
				q := qkv[p][h*dHead : (h+1)*dHead]
				weights, sum := make([]float64, p+1), 0.0
				for k := range weights {
					dot := 0.0
					for i := range dHead {
						dot += q[i] * qkv[k][d+h*dHead+i]
					}
					weights[k] = math.Exp(dot / math.Sqrt(float64(dHead)))
					sum += weights[k]
				}
				z := make([]float64, dHead)
				for k := range weights {
					for i := range z {
						z[i] += weights[k] / sum * qkv[k][2*d+h*dHead+i]
					}
				}
				perHead = append(perHead, linear(z, wo[h*dHead*d:(h+1)*dHead*d], make([]float64, d)))
			}
			if p == len(ids)-1 {
				results = append(results, perHead)
			}
			for i := range d {
				x[p][i] += bo[i]
				for h := range perHead {
					x[p][i] += perHead[h][i]
				}
			}
			hidden := linear(g.norm(x[p], at+".ln_2"), fc, bfc)
			for i, v := range hidden {
				hidden[i] = 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
			}
			for i, v := range linear(hidden, proj, bproj) {
				x[p][i] += v
			}
		}
	}
	return results, x[len(ids)-1]
}

// constant is (b_V + beta_1 · W_V) · W_O of one head.
func (g *gpt2) constant(l, h int) []float64 {
	at := "h." + string(rune('0'+l))
	d := len(g.weight(at + ".ln_1.bias"))
	dHead := d / g.heads
	v := linear(g.weight(at+".ln_1.bias"), g.weight(at+".attn.c_attn.weight"), g.weight(at+".attn.c_attn.bias"))[2*d+h*dHead:][:dHead]
	return linear(v, g.weight(at + ".attn.c_proj.weight")[h*dHead*d:(h+1)*dHead*d], make([]float64, d))
}

// logits of one head by the formulas of the package comment, one token at a time.
func (g *gpt2) logits(norm Norm, l, h int, result, stream []float64) []float64 {
	e, gamma, beta := g.weight("wte.weight"), g.weight("ln_f.weight"), g.weight("ln_f.bias")
	d := len(gamma)
	x := slices.Clone(result)
	if norm == NormTL {
		for i, v := range g.constant(l, h) {
			x[i] -= v
		}
	}
	if norm != NormRaw {
		mean, _ := moments(x)
		_, sigma := moments(stream)
		for i := range x {
			x[i] = (x[i] - mean) * gamma[i]
			if norm == NormFinal {
				x[i] /= sigma
			} else {
				x[i] += beta[i]
			}
		}
	}
	out, mean := make([]float64, len(e)/d), 0.0
	for v := range out {
		for i := range x {
			out[v] += x[i] * e[v*d+i]
		}
		mean += out[v] / float64(len(out))
	}
	if norm == NormTL {
		for v := range out {
			out[v] -= mean
		}
	}
	return out
}

// The embedded model, some heads in every norm: the same tokens with the same logits as in float64.
func TestLookIsFloat64(t *testing.T) {
	q := demo.Prompts()[0]
	for _, norm := range Norms {
		t.Run(string(norm), func(t *testing.T) {
			l := openDemo(t, Options{Norm: norm})
			m, err := graph.Load(filepath.Join(l.texts.Decoder.Folder.Model))
			if err != nil {
				t.Fatal(err)
			}
			entity, err := l.Entity(q.ExplicitEntity)
			if err != nil {
				t.Fatal(err)
			}
			views, err := l.Look(t.Context(), []Query{{q.ExplicitSentence, entity}, {q.ObscureSentence, entity}}, 10)
			if err != nil {
				t.Fatal(err)
			}
			g := &gpt2{t, m, l.Layout.Heads}
			for _, v := range views {
				results, stream := g.run(v.Tokens, l.Layout.Layers)
				for _, at := range [][2]int{{0, 0}, {1, 3}, {3, 2}, {5, 1}} {
					h := v.Heads[at[0]*l.Layout.Heads+at[1]]
					if h.Layer != at[0] || h.Head != at[1] {
						t.Fatalf("head %d.%d is in the place of %v", h.Layer, h.Head, at)
					}
					compare(t, h, g.logits(norm, at[0], at[1], results[at[0]][at[1]], stream))
				}
			}
		})
	}
}

func compare(t *testing.T, h Head, logits []float64) {
	t.Helper()
	logZ, spread := math.Inf(-1), 0.0
	for _, x := range logits {
		logZ = logAdd(logZ, x)
		spread = max(spread, math.Abs(x))
	}
	eps := 2e-5 * (1 + spread)
	rank := func(id int64) (n int) {
		for _, x := range logits {
			if x > logits[id]+eps {
				n++
			}
		}
		return n
	}
	for i, tok := range h.Top {
		if math.Abs(tok.Logit-logits[tok.ID]) > eps || math.Abs(tok.LogP-logits[tok.ID]+logZ) > eps || rank(tok.ID) > i {
			t.Errorf("head %d.%d: place %d is %q with logit %g, log p %g; float64 has %g, %g and rank %d",
				h.Layer, h.Head, i, tok.Token, tok.Logit, tok.LogP, logits[tok.ID], logits[tok.ID]-logZ, rank(tok.ID))
		}
	}
	any := math.Inf(-1)
	for _, m := range h.Entity.Tokens {
		any = logAdd(any, logits[m.ID]-logZ)
		if math.Abs(m.Logit-logits[m.ID]) > eps || m.Rank < rank(m.ID) || m.Rank > rank(m.ID)+1 {
			t.Errorf("head %d.%d: %q has logit %g and rank %d, want %g and %d", h.Layer, h.Head, m.Token.Token, m.Logit, m.Rank, logits[m.ID], rank(m.ID))
		}
	}
	if math.Abs(h.Entity.LogP-any) > eps {
		t.Errorf("head %d.%d: log p of the entity %g, want %g", h.Layer, h.Head, h.Entity.LogP, any)
	}
}

// The sum over heads of raw logits, plus b_O · W_U, is attn_out · W_U.
func TestHeadsAddUp(t *testing.T) {
	l := openDemo(t, Options{Norm: NormRaw})
	const prompt = "People in Japan speak"
	views, err := l.Look(t.Context(), []Query{{Prompt: prompt}}, l.Layout.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	m, err := steer.New(t.Context(), l.host, l.texts.Decoder, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w := dense(t, l.Layout.Unembed)
	for layer := range l.Layout.Layers {
		// The layer encoding is the output of attention at the last position of a text.
		attnOut, err := m.Encode(t.Context(), prompt, memory.EncodingLayer, memory.ConventionRaw, layer)
		if err != nil {
			t.Fatal(err)
		}
		want := multiply(attnOut, w, nil, 0)
		got := make([]float64, len(want))
		for _, b := range l.Layout.Bodies[0].Layers[layer].BO {
			x, err := weights.Vector(b)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range multiply(x, w, nil, 0) {
				got[i] += v
			}
		}
		for _, h := range views[0].Heads[layer*l.Layout.Heads:][:l.Layout.Heads] {
			if len(h.Top) != len(got) {
				t.Fatalf("%d tokens of %d", len(h.Top), len(got))
			}
			for _, tok := range h.Top {
				got[tok.ID] += tok.Logit
			}
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-5 {
				t.Fatalf("layer %d, token %d: the heads add up to %g, attention gives %g", layer, i, got[i], want[i])
			}
		}
	}
}
