package lens

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// row is one vector [d_model] on its way through the unembedding, and what came of it.
type row struct {
	x     []float32
	shift float64 // taken from every logit
	asked []int64 // tokens whose logit and rank are wanted; as many in every row of a call

	top   []scored // likeliest first
	logZ  float64  // log of the sum of exponentials of the logits
	marks []mark   // one for each token asked for
}

type scored struct {
	id    int64
	logit float64
}

type mark struct {
	logit float64
	rank  int // how many tokens have a larger logit
}

// product multiplies rows with the unembedding, a range of tokens at a time.
type product struct {
	session  runtime.Session
	bias     []float32 // b_U, nil for none
	cap      float64   // the soft cap on the logits, 0 for none
	columns  *weights.Columns
	top      int
	asked    int
	tokens   map[int64][]float32 // columns of tokens that were asked for
	d, vocab int64
	atOnce   int64 // numbers of weights and logits that a range of tokens may take
}

// openProduct makes the session: the top likeliest tokens are kept, and asked tokens of every row looked for. softCap is 0 for none.
func openProduct(ctx context.Context, host runtime.Host, l *models.Layout, bias []float32, softCap float64, top, asked int, o runtime.Options) (*product, error) {
	p := &product{bias: bias, cap: softCap, top: min(top, l.Vocab), asked: asked, tokens: map[int64][]float32{}, d: l.Unembed.In, vocab: l.Unembed.Out, atOnce: 4 << 20}
	var err error
	if p.columns, err = l.Unembed.Columns(); err != nil {
		return nil, err
	}
	m, err := graph.Parse(p.text())
	if err != nil {
		return nil, err
	}
	data, _, err := graph.Marshal(m)
	if err != nil {
		return nil, err
	}
	p.session, err = host.Open(ctx, runtime.Model{Path: "unembedding", Bytes: data}, o)
	return p, err
}

// text is the product as a graph. Everything that would be as long as the vocabulary stays inside.
func (p *product) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("ir 8\nopset 17\ngraph unembedding {")
	line("in x: float32[rows, %d]", p.d)
	gemm := "Gemm(x, w"
	if p.columns.Transposed {
		line("in w: float32[tokens, %d]", p.d)
	} else {
		line("in w: float32[%d, tokens]", p.d)
	}
	if p.bias != nil {
		line("in b: float32[tokens]")
		gemm += ", b"
	}
	product := "y"
	if p.cap != 0 {
		product = "uncapped"
		line("const cap = float32[1] {%g}\nratio = Div(uncapped, cap)\nbounded = Tanh(ratio)\ny = Mul(bounded, cap)", p.cap)
	}
	line("%s = %s) {transB: %d}", product, gemm, map[bool]int{true: 1}[p.columns.Transposed])
	line("logz = ReduceLogSumExp(y) {axes: [1], keepdims: 0}\nout logz")
	if p.top > 0 {
		line("in k: int64[1]\ntop, ids = TopK(y, k)\nout top\nout ids")
	}
	line("const vocab = int64[1] {1}")
	for i := range p.asked {
		line("in own%d: float32[rows, 1]\nin at%d: int64[rows, 1]", i, i)
		line("above%d = Greater(y, own%d)\nones%d = Cast(above%d) {to: %d}\ncount%d = ReduceSum(ones%d, vocab) {keepdims: 0}\nout count%d",
			i, i, i, i, graph.Float32, i, i, i)
		line("self%d = GatherElements(y, at%d) {axis: 1}\nout self%d", i, i, i)
	}
	line("}")
	return b.String()
}

// run fills in what comes of the rows.
func (p *product) run(ctx context.Context, rows []*row) error {
	x := make([]float32, 0, len(rows)*int(p.d))
	for _, r := range rows {
		x = append(x, r.x...)
		r.top, r.logZ, r.marks = nil, math.Inf(-1), make([]mark, p.asked)
		for i, id := range r.asked {
			var err error
			if r.marks[i].logit, err = p.logit(r.x, id); err != nil {
				return err
			}
		}
	}
	n := int64(len(rows))
	step := min(p.vocab, max(32, p.atOnce/(p.d+3*n))) // the logits, what is above, and its count
	for from := int64(0); from < p.vocab; from += step {
		width := min(step, p.vocab-from)
		feeds, err := p.feeds(rows, graph.NewFloat32(x, n, p.d), from, width)
		if err != nil {
			return err
		}
		out, err := p.session.Run(ctx, feeds)
		if err != nil {
			return err
		}
		if err := p.gather(rows, out, from, width); err != nil {
			return err
		}
	}
	for _, r := range rows {
		r.logZ -= r.shift
		for i := range r.top {
			r.top[i].logit -= r.shift
		}
		for i := range r.marks {
			r.marks[i].logit -= r.shift
		}
	}
	return nil
}

// logit is x times the column of one token, in float64.
func (p *product) logit(x []float32, id int64) (float64, error) {
	column, ok := p.tokens[id]
	if !ok {
		var err error
		if column, err = p.columns.Read(id, 1); err != nil {
			return 0, err
		}
		column = slices.Clone(column)
		p.tokens[id] = column
	}
	sum := 0.0
	for i, w := range column {
		sum += float64(x[i]) * float64(w)
	}
	if p.bias != nil {
		sum += float64(p.bias[id])
	}
	if p.cap != 0 {
		sum = p.cap * math.Tanh(sum/p.cap)
	}
	return sum, nil
}

func (p *product) feeds(rows []*row, x *graph.Tensor, from, width int64) (map[string]*graph.Tensor, error) {
	w, err := p.columns.Read(from, width)
	if err != nil {
		return nil, err
	}
	dims := []int64{p.d, width}
	if p.columns.Transposed {
		dims = []int64{width, p.d}
	}
	in := map[string]*graph.Tensor{"x": x, "w": graph.NewFloat32(w, dims...)}
	if p.bias != nil {
		in["b"] = graph.NewFloat32(p.bias[from:from+width], width)
	}
	if p.top > 0 {
		in["k"] = graph.NewInt64([]int64{min(int64(p.top), width)}, 1)
	}
	for i := range p.asked {
		own, at := make([]float32, len(rows)), make([]int64, len(rows))
		for j, r := range rows {
			own[j] = float32(r.marks[i].logit)
			at[j] = min(max(r.asked[i]-from, 0), width-1)
		}
		in[fmt.Sprintf("own%d", i)] = graph.NewFloat32(own, int64(len(rows)), 1)
		in[fmt.Sprintf("at%d", i)] = graph.NewInt64(at, int64(len(rows)), 1)
	}
	return in, nil
}

// gather adds the contribution of a range of tokens.
func (p *product) gather(rows []*row, out map[string]*graph.Tensor, from, width int64) error {
	floats := func(name string) []float32 {
		x, err := out[name].Float32s()
		if err != nil {
			panic(err) // the graph is this program's own
		}
		return x
	}
	logz := floats("logz")
	for j, r := range rows {
		if f := float64(logz[j]); math.IsNaN(f) || math.IsInf(f, 1) {
			return fmt.Errorf("the logits of tokens %d to %d are %v: the numbers left the range of float32", from, from+width-1, f)
		}
		r.logZ = logAdd(r.logZ, float64(logz[j]))
	}
	if p.top > 0 {
		values := floats("top")
		ids, err := out["ids"].Int64s()
		if err != nil {
			return err
		}
		k := len(values) / len(rows)
		for j, r := range rows {
			for i := j * k; i < (j+1)*k; i++ {
				r.top = append(r.top, scored{ids[i] + from, float64(values[i])})
			}
			slices.SortFunc(r.top, func(a, b scored) int {
				return cmp.Or(cmp.Compare(b.logit, a.logit), cmp.Compare(a.id, b.id))
			})
			r.top = r.top[:min(p.top, len(r.top))]
		}
	}
	for i := range p.asked {
		count, self := floats(fmt.Sprintf("count%d", i)), floats(fmt.Sprintf("self%d", i))
		for j, r := range rows {
			m := &r.marks[i]
			m.rank += int(count[j])
			// A token is not above itself, whatever the last digit of the product says.
			if id := r.asked[i]; id >= from && id < from+width && self[j] > float32(m.logit) {
				m.rank--
			}
		}
	}
	return nil
}

// logAdd is log(exp a + exp b).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}
