package steer

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// The same point twice, and with one thread and with two, gives the same bits on the processors that this was tried on. A row of a
// batch differs from a single run by rounding at most.
func TestE04SameBits(t *testing.T) {
	type result struct {
		bits  []uint32
		model *Model
		ids   []int64
	}
	vector := make([]float32, 128)
	for i := range vector {
		vector[i] = float32(i%7) / 5
	}
	rows := func(m *Model, ids []int64, n int) [][]float32 {
		t.Helper()
		vectors, taus := slices.Repeat([][]float32{vector}, n), slices.Repeat([]float64{3}, n)
		out, err := rowsAt(t, m, ids, 2, vectors, taus)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var first result
	for _, threads := range []int{1, 2} {
		m, _ := openDemo(t, runtime.Options{Threads: threads})
		ids, err := m.Prompt("The capital of the land of the Gandan Monastery is")
		if err != nil {
			t.Fatal(err)
		}
		for run := range 3 {
			logits := rows(m, ids, 1)[0]
			bits := make([]uint32, len(logits))
			for i, x := range logits {
				bits[i] = math.Float32bits(x)
			}
			if first.bits == nil {
				first = result{bits, m, ids}
			}
			if !slices.Equal(bits, first.bits) {
				t.Errorf("%d threads, run %d: other bits", threads, run)
			}
		}
	}
	for i, logits := range rows(first.model, first.ids, 15) {
		for j, x := range logits {
			if d := math.Abs(float64(x) - float64(math.Float32frombits(first.bits[j]))); !(d <= 1e-5) {
				t.Fatalf("row %d of 15: logit %d is %g apart", i, j, d)
			}
		}
	}
}

// withWeights writes the GPT-2 of the oracle with other numbers at the start of W_O of layer 1, and returns its path and bytes.
func withWeights(t *testing.T, numbers ...float32) (path string, data []byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testdata, books[0].file))
	if err != nil {
		t.Fatal(err)
	}
	was := initializers(t, data)["onnx::MatMul_294"].x
	start := make([]byte, 0, 64)
	for _, x := range was[:16] {
		start = binary.LittleEndian.AppendUint32(start, math.Float32bits(float32(x)))
	}
	at := strings.Index(string(data), string(start))
	if at < 0 {
		t.Fatal("W_O of layer 1 was not found")
	}
	for i, x := range numbers {
		binary.LittleEndian.PutUint32(data[at+4*i:], math.Float32bits(x))
	}
	path = filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

// Denormal weights, memories and taus are numbers like others, and tau -0 is tau 0.
func TestE07Denormals(t *testing.T) {
	tiny := []float32{1e-40, -1e-45, math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1)), 1e-38, -3e-39}
	path, data := withWeights(t, tiny...)
	b, s := books[0].read(t, data), openBook(t, path)
	r := rand.New(rand.NewPCG(7, 8))
	ids := []int64{5, 17, 3, 90, 41}
	for _, tau := range []float32{1e-40, float32(math.Copysign(0, -1)), 1e-20} {
		if _, compared := b.compare(t, s, ids, r, map[models.PortKind]float32{models.PortAttnOut: tau}); compared != 17 {
			t.Errorf("tau %v: %d hooks compared, want 17", tau, compared)
		}
	}
	logits := func(tau, x float32) []byte {
		t.Helper()
		feeds, err := s.Signature.Feeds([][]int64{ids})
		if err != nil {
			t.Fatal(err)
		}
		feeds[models.PortAttnOut.Input(models.PortMemory).Name(0)] = graph.NewFloat32(slices.Repeat([]float32{x}, 32), 1, 1, 32)
		feeds[models.PortAttnOut.Input(models.PortTau).Name(0)] = graph.NewFloat32([]float32{tau}, 1, 1, 1)
		out, err := s.Run(t.Context(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		return out["logits"].Data
	}
	off := logits(0, 0)
	for _, tt := range [][2]float32{{float32(math.Copysign(0, -1)), 3}, {0, 3}, {0, 1e-40}, {1, 1e-40}, {1e-40, 1}, {1, float32(math.Copysign(0, -1))}} {
		if string(logits(tt[0], tt[1])) != string(off) {
			t.Errorf("tau %v times %v changes the logits", tt[0], tt[1])
		}
	}
	if string(logits(1, 3)) == string(off) {
		t.Error("a memory has no effect, so nothing was tested")
	}
}

// Weights that are not finite, or that overflow, give scores that are not, and a run says so instead of printing probabilities.
func TestE07NotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, x := range map[string]float32{"NaN": nan, "Inf": inf, "-Inf": -inf, "1e38": 1e38} {
		t.Run("weight "+name, func(t *testing.T) {
			path, _ := withWeights(t, slices.Repeat([]float32{x}, 32)...)
			m, err := Open(t.Context(), orttest.Host(t), path, runtime.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			rows, err := rowsAt(t, m, []int64{5, 17, 3}, 0, [][]float32{make([]float32, 32)}, []float64{0})
			if err != nil {
				t.Fatal(err)
			}
			if err := finite(rows[0]); err == nil {
				t.Error("the scores are finite")
			}
			if logp := LogSoftmax(rows[0])[0]; !math.IsNaN(logp) {
				t.Errorf("a log-probability of %v", logp)
			}
		})
	}
	m, _ := openDemo(t, runtime.Options{Threads: 1})
	for name, tt := range map[string]struct {
		x   float32
		tau float64
	}{"memory NaN": {nan, 1}, "memory Inf": {inf, 1}, "memory 1e38": {1e38, 10}, "tau NaN": {1, math.NaN()}, "tau Inf": {1, math.Inf(1)}, "tau 1e39": {1, 1e39}} {
		t.Run(name, func(t *testing.T) {
			q := query("", 0)
			q.Changes = intervention.Plan{{Site: models.DefaultSite, Layer: 1, Keep: 1, Tau: tt.tau, Vector: slices.Repeat([]float32{tt.x}, 128)}}
			if r, err := m.Run(t.Context(), q); err == nil {
				t.Errorf("p %v and no error", r.Answer.PInjected)
			}
		})
	}
}

// TestE08LogSumExp compares log-probabilities with sums in 400-bit floats.
func TestE08LogSumExp(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	random := func(n int, scale float64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(r.NormFloat64() * scale)
		}
		return out
	}
	inf := float32(math.Inf(1))
	for name, logits := range map[string][]float32{
		"large": {1e4, -1e4, 9999, 9998.5}, "all equal": slices.Repeat([]float32{-1e4}, 1000), "one": {3}, "a vocabulary": random(5000, 5),
		"a wide vocabulary": random(5000, 300), "far apart": {1e30, 0}, "one -Inf": {2, -inf, 1},
	} {
		got, exact := LogSoftmax(logits), exactLogSum(logits)
		for i, x := range logits {
			p := new(big.Float).SetPrec(exact.Prec()).SetInf(true)
			if !math.IsInf(float64(x), 0) {
				p.Sub(new(big.Float).SetPrec(exact.Prec()).SetFloat64(float64(x)), exact)
			}
			want, _ := p.Float64()
			if d := math.Abs(got[i] - want); !(d <= 1e-9*max(1, math.Abs(want))) && got[i] != want {
				t.Errorf("%s: log-probability %d is %v, want %v", name, i, got[i], want)
			}
		}
	}
	// One infinite logit leaves no probability that is a number: the status of the row says so.
	for _, logits := range [][]float32{{1, inf, 2}, {1, float32(math.NaN()), 2}, {-inf, -inf}} {
		for i, x := range LogSoftmax(logits) {
			if !math.IsNaN(x) && !math.IsInf(x, -1) {
				t.Errorf("%v: log-probability %d is %v", logits, i, x)
			}
		}
	}
}

// exactLogSum is log(sum(exp(logits))), with every sum and exponential in floats of 400 bits.
func exactLogSum(logits []float32) *big.Float {
	const precision = 400
	float := func(x float64) *big.Float { return new(big.Float).SetPrec(precision).SetFloat64(x) }
	top, sum := float64(slices.Max(logits)), float(0)
	for _, x := range logits {
		if d := float64(x) - top; d > -400 { // a smaller term is below 1e-170 of the sum
			sum.Add(sum, bigExp(d))
		}
	}
	// log(sum) by one step of Newton's method from float64: y + sum/exp(y) - 1
	f, _ := sum.Float64()
	y := math.Log(f)
	rest := float(0).Quo(sum, bigExp(y))
	return rest.Add(rest.Sub(rest, float(1)), float(0).Add(float(y), float(top)))
}

// bigExp is exp(x): the series of x/2^k, squared k times.
func bigExp(x float64) *big.Float {
	const precision, halvings = 440, 12
	y := new(big.Float).SetPrec(precision).SetFloat64(x)
	y.SetMantExp(y, -halvings)
	sum, term := new(big.Float).SetPrec(precision).SetFloat64(1), new(big.Float).SetPrec(precision).SetFloat64(1)
	for n := 1; n < 60; n++ {
		term.Mul(term, y)
		term.Quo(term, new(big.Float).SetPrec(precision).SetFloat64(float64(n)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// A text without tokens, tokens that no row of the embedding has, and a text longer than the context are refused before the host sees
// them.
func TestE09Tokens(t *testing.T) {
	m, _ := openDemo(t, runtime.Options{Threads: 1})
	vector := [][]float32{make([]float32, 128)}
	for name, tt := range map[string]struct {
		ids  []int64
		want string
	}{
		"above":    {[]int64{1, 1417}, "token 1417 at position 1, the vocabulary is 0 to 1416"},
		"negative": {[]int64{-1}, "token -1 at position 0"},
		"far":      {[]int64{math.MaxInt64}, "at position 0, the vocabulary is 0 to 1416"},
		"long":     {make([]int64, 65), "prompt of 65 tokens, the model's context is 64"},
		"none":     {nil, "no tokens"},
	} {
		if _, err := rowsAt(t, m, tt.ids, 1, vector, []float64{1}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	m.Texts.PromptBOS = false
	if _, err := m.Prompt(""); err == nil {
		t.Error("an empty prompt was accepted")
	}
}

// rowsAt adds memories to the attention output of a layer, one in each row.
func rowsAt(t *testing.T, m *Model, ids []int64, layer int, vectors [][]float32, taus []float64) ([][]float32, error) {
	t.Helper()
	var changes []intervention.Plan
	for i, tau := range taus {
		changes = append(changes, intervention.Plan{{Site: models.DefaultSite, Layer: layer, Keep: 1, Tau: tau, Vector: vectors[i]}})
	}
	b, err := m.Batch(t.Context(), changes[0])
	if err != nil {
		return nil, err
	}
	return b.Rows(t.Context(), ids, changes)
}
