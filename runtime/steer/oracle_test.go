package steer

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// The oracle is a slow forward pass in double precision. It shares no code with the program: it reads the initializers of a file
// by their names, with a protobuf walk of its own, and computes every hook by the textbook. It knows two files.

// matrix is [rows, columns].
type matrix struct {
	rows, cols int
	x          []float64
}

func (m *matrix) row(i int) []float64 { return m.x[i*m.cols : (i+1)*m.cols] }

// times is x W + b, for one row; b may be nil.
func times(x []float64, w *matrix, b []float64) []float64 {
	out := make([]float64, w.cols)
	copy(out, b)
	for i, xi := range x {
		for j, y := range w.row(i) {
			out[j] += xi * y
		}
	}
	return out
}

func plus(x ...[]float64) []float64 {
	out := make([]float64, len(x[0]))
	for _, v := range x {
		for i := range v {
			out[i] += v[i]
		}
	}
	return out
}

// initializers reads the float32 tensors of a file: ModelProto.graph.initializer with dims, data_type, name and raw_data.
func initializers(t *testing.T, data []byte) map[string]*matrix {
	t.Helper()
	each := func(b []byte, f func(num protowire.Number, v uint64, body []byte)) {
		for len(b) > 0 {
			num, typ, n := protowire.ConsumeTag(b)
			m := protowire.ConsumeFieldValue(num, typ, b[n:])
			if n < 0 || m < 0 {
				t.Fatal("a broken file")
			}
			v, _ := protowire.ConsumeVarint(b[n:])
			body, _ := protowire.ConsumeBytes(b[n:])
			f(num, v, body)
			b = b[n+m:]
		}
	}
	out := map[string]*matrix{}
	each(data, func(num protowire.Number, _ uint64, g []byte) {
		if num != 7 {
			return
		}
		each(g, func(num protowire.Number, _ uint64, tensor []byte) {
			if num != 5 {
				return
			}
			m, name, dtype, dims := &matrix{rows: 1}, "", uint64(0), []int{}
			each(tensor, func(num protowire.Number, v uint64, body []byte) {
				switch num {
				case 1:
					dims = append(dims, int(v))
				case 2:
					dtype = v
				case 8:
					name = string(body)
				case 9:
					for i := 0; i+4 <= len(body); i += 4 {
						m.x = append(m.x, float64(math.Float32frombits(binary.LittleEndian.Uint32(body[i:]))))
					}
				}
			})
			if dtype != 1 || len(dims) == 0 || len(dims) > 2 {
				return
			}
			if m.cols = dims[len(dims)-1]; len(dims) == 2 {
				m.rows = dims[0]
			}
			if len(m.x) == m.rows*m.cols {
				out[name] = m
			}
		})
	})
	return out
}

// textbook is a decoder of two layers.
type textbook struct {
	heads, kv, dim  int // dim is d_head
	layers          []textbookLayer
	embed, position *matrix
	norm            func(x []float64) []float64 // of the final stream
	unembed         *matrix
}

type textbookLayer struct {
	norm1, norm2  func(x []float64) []float64
	q, k, v, o    *matrix
	bq, bk, bv    []float64
	bo            []float64
	turn          func(x []float64, pos int) []float64 // of one head's query or key; nil for none
	mlp           func(x []float64) []float64
	attnIn, mlpIn []float64 // what an intervention adds at attn_out and mlp_out; nil for nothing
}

// columns are a part of a matrix.
func columnsOf(m *matrix, from, n int) *matrix {
	out := &matrix{rows: m.rows, cols: n}
	for i := range m.rows {
		out.x = append(out.x, m.row(i)[from:from+n]...)
	}
	return out
}

func layerNorm(gain, bias []float64) func([]float64) []float64 {
	return func(x []float64) []float64 {
		mean, variance := 0.0, 0.0
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(len(x))
		}
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = (v-mean)/math.Sqrt(variance+1e-5)*gain[i] + bias[i]
		}
		return out
	}
}

func rmsNorm(gain []float64) func([]float64) []float64 {
	return func(x []float64) []float64 {
		square := 0.0
		for _, v := range x {
			square += v * v / float64(len(x))
		}
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = v / math.Sqrt(square+1e-6) * gain[i]
		}
		return out
	}
}

// rotate turns pairs (i, i + dim/2) by the angle pos * 10000^(-2i/dim): RoPE as Llama has it.
func rotate(x []float64, pos int) []float64 {
	out, half := make([]float64, len(x)), len(x)/2
	for i := range half {
		sin, cos := math.Sincos(float64(pos) * math.Pow(10000, -2*float64(i)/float64(len(x))))
		out[i], out[i+half] = x[i]*cos-x[i+half]*sin, x[i+half]*cos+x[i]*sin
	}
	return out
}

// gpt2Book is nanogpt-torchscript.onnx: GPT-2 of two layers. All norms of the fixture share one gain and one bias.
func gpt2Book(t *testing.T, data []byte) *textbook {
	w := initializers(t, data)
	m := func(i int) *matrix {
		name := fmt.Sprintf("onnx::MatMul_%d", []int{271, 281, 282, 283, 284, 294, 295, 296, 297}[i])
		if w[name] == nil {
			t.Fatalf("no initializer %s", name)
		}
		return w[name]
	}
	norm := layerNorm(w["b.0.l1.weight"].x, w["b.0.l1.bias"].x)
	b := &textbook{heads: 4, kv: 4, dim: 8, embed: w["te.weight"], position: w["pe.weight"], norm: norm, unembed: m(8)}
	for l := range 2 {
		bias := func(name string) []float64 { return w[fmt.Sprintf("b.%d.%s.bias", l, name)].x }
		qkv, bqkv := m(4*l), bias("a.qkv")
		up, down := m(4*l+2), m(4*l+3)
		fb, pb := bias("f"), bias("p")
		b.layers = append(b.layers, textbookLayer{
			norm1: norm, norm2: norm,
			q: columnsOf(qkv, 0, 32), k: columnsOf(qkv, 32, 32), v: columnsOf(qkv, 64, 32), o: m(4*l + 1),
			bq: bqkv[:32], bk: bqkv[32:64], bv: bqkv[64:], bo: bias("a.proj"),
			mlp: func(x []float64) []float64 {
				h := times(x, up, fb)
				for i, v := range h {
					h[i] = v / 2 * (1 + math.Erf(v/math.Sqrt2))
				}
				return times(h, down, pb)
			},
		})
	}
	return b
}

// llamaBook is optimum-llama.onnx: Llama of two layers, with two query heads for each key and value head.
func llamaBook(t *testing.T, data []byte) *textbook {
	w := initializers(t, data)
	names := [][]int{{733, 740, 741, 764, 765, 766, 767}, {768, 775, 776, 799, 800, 801, 802}}
	gain := func(name string) func([]float64) []float64 { return rmsNorm(w["model."+name+".weight"].x) }
	b := &textbook{heads: 4, kv: 2, dim: 16, embed: w["model.embed_tokens.weight"], norm: gain("norm"), unembed: w["onnx::MatMul_803"]}
	for l := range 2 {
		m := func(i int) *matrix { return w[fmt.Sprintf("onnx::MatMul_%d", names[l][i])] }
		gate, up, down := m(4), m(5), m(6)
		b.layers = append(b.layers, textbookLayer{
			norm1: gain(fmt.Sprintf("layers.%d.input_layernorm", l)), norm2: gain(fmt.Sprintf("layers.%d.post_attention_layernorm", l)),
			q: m(0), k: m(1), v: m(2), o: m(3), turn: rotate,
			mlp: func(x []float64) []float64 {
				g, h := times(x, gate, nil), times(x, up, nil)
				for i := range h {
					h[i] *= g[i] / (1 + math.Exp(-g[i]))
				}
				return times(h, down, nil)
			},
		})
	}
	return b
}

// hooks are what a run computes, by the names of ports, each in row-major order.
type hooks map[string][]float64

// run computes every hook of one text.
func (b *textbook) run(ids []int64) hooks {
	out := hooks{}
	stream := make([][]float64, len(ids))
	for p, id := range ids {
		stream[p] = plus(b.embed.row(int(id)))
		if b.position != nil {
			stream[p] = plus(stream[p], b.position.row(p))
		}
	}
	show := func(l int, name string, x []float64) {
		name = fmt.Sprintf("blocks.%d.%s", l, name)
		out[name] = append(out[name], x...)
	}
	for l := range b.layers {
		stream = b.layer(&b.layers[l], stream, func(name string, x []float64) { show(l, name, x) })
	}
	for _, x := range stream {
		out["logits"] = append(out["logits"], times(b.norm(x), b.unembed, nil)...)
	}
	return out
}

func (b *textbook) layer(w *textbookLayer, stream [][]float64, show func(string, []float64)) [][]float64 {
	n := len(stream)
	q, k, v := make([][]float64, n), make([][]float64, n), make([][]float64, n)
	for p, x := range stream {
		show("hook_resid_pre", x)
		x = w.norm1(x)
		q[p], k[p], v[p] = times(x, w.q, w.bq), times(x, w.k, w.bk), times(x, w.v, w.bv)
	}
	head := func(x []float64, h, pos int) []float64 {
		x = x[h*b.dim : (h+1)*b.dim]
		if w.turn != nil {
			x = w.turn(x, pos)
		}
		return x
	}
	patterns := make([][][]float64, b.heads) // [head][query][key]
	for h := range b.heads {
		for p := range n {
			row, sum := make([]float64, n), 0.0
			query := head(q[p], h, p)
			for at := range p + 1 {
				score := 0.0
				for i, y := range head(k[at], h*b.kv/b.heads, at) {
					score += query[i] * y
				}
				row[at] = math.Exp(score / math.Sqrt(float64(b.dim)))
				sum += row[at]
			}
			for at := range row {
				row[at] /= sum
			}
			patterns[h] = append(patterns[h], row)
			show("attn.hook_pattern", row)
		}
	}
	out := make([][]float64, n)
	for p, x := range stream {
		attn := plus(make([]float64, b.embed.cols), w.bo)
		for h := range b.heads {
			z := make([]float64, b.dim)
			for at, share := range patterns[h][p] {
				from := h * b.kv / b.heads * b.dim
				for i, y := range v[at][from : from+b.dim] {
					z[i] += share * y
				}
			}
			result := times(z, &matrix{b.dim, w.o.cols, w.o.x[h*b.dim*w.o.cols : (h+1)*b.dim*w.o.cols]}, nil)
			show("attn.hook_z", z)
			show("attn.hook_result", result)
			attn = plus(attn, result)
		}
		show("hook_attn_out", attn)
		mid := plus(x, attn, w.attnIn)
		show("hook_resid_mid", mid)
		mlp := w.mlp(w.norm2(mid))
		show("hook_mlp_out", mlp)
		out[p] = plus(mid, mlp, w.mlpIn)
		show("hook_resid_post", out[p])
	}
	return out
}

// compare returns the largest difference of what a session gave from the oracle's hooks, in parts of the largest number of the hook,
// and how many hooks were compared.
func (want hooks) compare(t *testing.T, got map[string]*graph.Tensor) (worst float64, compared int) {
	t.Helper()
	for name, w := range want {
		if got[name] == nil {
			continue
		}
		g, err := wide(got[name])
		if err != nil {
			t.Fatal(err)
		}
		if len(g) != len(w) {
			t.Fatalf("%s: %d numbers, the oracle has %d", name, len(g), len(w))
		}
		compared++
		difference, largest := 0.0, 0.0
		for i := range w {
			difference, largest = max(difference, math.Abs(g[i]-w[i])), max(largest, math.Abs(w[i]))
		}
		if d := difference / largest; !(d <= 5e-6) {
			t.Errorf("%s: %.3g of the largest number apart", name, d)
		}
		worst = max(worst, difference/largest)
	}
	return worst, compared
}

// openBook opens a file with every port, in the host that does not optimise.
func openBook(t *testing.T, path string) *decoder.Session {
	t.Helper()
	d, err := decoder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	l, err := d.Locate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Session(t.Context(), orttest.Host(t), runtime.Options{Threads: 1, Level: runtime.Unmodified}, decoder.Apply(all(l)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// run feeds one text and memories at the sites of layers, and gives the oracle the same.
func (b *textbook) compare(t *testing.T, s *decoder.Session, ids []int64, r *rand.Rand, taus map[models.PortKind]float32) (worst float64, compared int) {
	t.Helper()
	feeds, err := s.Signature.Feeds([][]int64{ids})
	if err != nil {
		t.Fatal(err)
	}
	width := b.embed.cols
	for l := range b.layers {
		b.layers[l].attnIn, b.layers[l].mlpIn = nil, nil
		for site, tau := range taus {
			memory, added := make([]float32, width), make([]float64, width)
			for i := range memory {
				memory[i] = float32(r.NormFloat64())
				added[i] = float64(tau) * float64(memory[i])
			}
			feeds[site.Input(models.PortMemory).Name(l)] = graph.NewFloat32(memory, 1, 1, int64(width))
			feeds[site.Input(models.PortTau).Name(l)] = graph.NewFloat32([]float32{tau}, 1, 1, 1)
			if site == models.PortAttnOut {
				b.layers[l].attnIn = added
			} else {
				b.layers[l].mlpIn = added
			}
		}
	}
	got, err := s.Run(t.Context(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	return b.run(ids).compare(t, got)
}

// TestE06Oracle compares every port of a two-layer GPT-2 and of a two-layer Llama, without and with memories, with the oracle.
func TestE06Oracle(t *testing.T) {
	for _, book := range books {
		t.Run(book.file, func(t *testing.T) {
			path := filepath.Join(testdata, book.file)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b, s := book.read(t, data), openBook(t, path)
			r := rand.New(rand.NewPCG(1, 2))
			for _, taus := range []map[models.PortKind]float32{
				nil, {models.PortAttnOut: 1}, {models.PortAttnOut: -2.5}, {models.PortMLPOut: 3}, {models.PortAttnOut: 15, models.PortMLPOut: 0.25},
			} {
				ids := make([]int64, 9)
				for i := range ids {
					ids[i] = r.Int64N(int64(b.embed.rows))
				}
				worst, compared := b.compare(t, s, ids, r, taus)
				if want := 2*8 + 1; compared != want {
					t.Errorf("%d hooks compared, want %d", compared, want)
				}
				t.Logf("taus %v: at most %.2g of the largest number apart", taus, worst)
			}
		})
	}
}

// books are the files that the oracle knows.
var books = []struct {
	file string
	read func(*testing.T, []byte) *textbook
}{{"nanogpt-torchscript.onnx", gpt2Book}, {"families/optimum-llama.onnx", llamaBook}}
