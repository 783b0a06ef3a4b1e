package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a decoded protobuf message: the payloads of each field, in order.
type message map[protowire.Number][][]byte

// decode splits one message into its fields; a varint or fixed payload is re-encoded as 8 bytes.
func decode(t *testing.T, b []byte) message {
	t.Helper()
	m := message{}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("decode: %v", protowire.ParseError(n))
		}
		b = b[n:]
		var v []byte
		switch kind {
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			var u uint64
			u, n = protowire.ConsumeVarint(b)
			v = binary.LittleEndian.AppendUint64(nil, u)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			t.Fatalf("decode field %d: %v", field, protowire.ParseError(n))
		}
		m[field] = append(m[field], v)
		b = b[n:]
	}
	return m
}

func (m message) num(field protowire.Number) int64 {
	if len(m[field]) == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(m[field][0]))
}

func (m message) str(field protowire.Number) string { return string(bytes.Join(m[field], []byte(","))) }

// file is the decoded content for tests: the operators in order, the producer of each value, and the data of each initializer.
type file struct {
	ir, opset int64

	ops  []string
	data map[string][]byte
	dims map[string][]int64
}

// read decodes path, checks that every value is produced once and before it is used, and resolves external data.
func read(t *testing.T, path string) file {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := decode(t, raw)
	g := decode(t, m[7][0])
	f := file{ir: m.num(1), opset: decode(t, m[8][0]).num(2), data: map[string][]byte{}, dims: map[string][]int64{}}
	made := map[string]bool{}
	for _, b := range g[11] {
		made[decode(t, b).str(1)] = true
	}
	for _, b := range g[5] {
		ten := decode(t, b)
		name := ten.str(8)
		if made[name] {
			t.Errorf("initializer %q: name in use", name)
		}
		made[name] = true
		for i := range ten[1] {
			f.dims[name] = append(f.dims[name], int64(binary.LittleEndian.Uint64(ten[1][i])))
		}
		f.data[name] = bytes.Join(ten[9], nil)
		if ten.num(14) == 1 {
			f.data[name] = external(t, filepath.Dir(path), ten)
		}
		want := int64(4)
		if ten.num(2) == boolType {
			want = 1
		}
		for _, d := range f.dims[name] {
			want *= d
		}
		if int64(len(f.data[name])) != want {
			t.Errorf("initializer %q %v: %d bytes, want %d", name, f.dims[name], len(f.data[name]), want)
		}
	}
	for _, b := range g[1] {
		n := decode(t, b)
		for _, in := range n[1] {
			if !made[string(in)] && len(in) > 0 {
				t.Errorf("node %q: input %q is not produced before it", n.str(3), in)
			}
		}
		for _, out := range n[2] {
			if made[string(out)] && len(out) > 0 {
				t.Errorf("node %q: output %q is produced twice", n.str(3), out)
			}
			made[string(out)] = true
		}
		f.ops = append(f.ops, n.str(4))
	}
	if out := decode(t, g[12][0]).str(1); out != "logits" || !made[out] {
		t.Errorf("graph output %q: want logits, produced by a node", out)
	}
	return f
}

func external(t *testing.T, dir string, tensor message) []byte {
	t.Helper()
	key := map[string]string{}
	for _, b := range tensor[13] {
		e := decode(t, b)
		key[e.str(1)] = e.str(2)
	}
	all, err := os.ReadFile(filepath.Join(dir, key["location"]))
	if err != nil {
		t.Fatal(err)
	}
	offset, _ := strconv.Atoi(key["offset"])
	length, _ := strconv.Atoi(key["length"])
	return all[offset : offset+length]
}

func floats(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

func TestWriteTiny(t *testing.T) {
	dir := t.TempDir()
	inline, outside := filepath.Join(dir, "inline.onnx"), filepath.Join(dir, "outside.onnx")
	if err := run([]string{"-size", "tiny", "-o", inline}); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-size", "tiny", "-external", "-o", outside}); err != nil {
		t.Fatal(err)
	}
	a, b := read(t, inline), read(t, outside)
	if a.ir != 8 || a.opset != 17 {
		t.Errorf("IR %d, opset %d: want IR 8, opset 17", a.ir, a.opset)
	}
	for name := range a.data {
		if !bytes.Equal(a.data[name], b.data[name]) {
			t.Errorf("initializer %q: external data differs from inline data", name)
		}
	}
	count := map[string]int{}
	for _, op := range a.ops {
		count[op]++
	}
	for op, want := range map[string]int{"Softmax": 2, "Where": 2, "Gemm": 8, "LayerNormalization": 5, "MatMul": 5, "Tanh": 2, "Split": 2, "Gather": 2 + 1 + 2*16} {
		if count[op] != want {
			t.Errorf("%d %s nodes, want %d", count[op], op, want)
		}
	}
	// a runtime that stores equal weights once would make random models look small
	seen := map[string]string{}
	for name, d := range a.data {
		if other, ok := seen[string(d)]; ok {
			t.Errorf("initializers %q and %q hold the same data", name, other)
		}
		seen[string(d)] = name
	}
	for name, d := range a.data {
		if strings.HasSuffix(name, ".attn.bias") {
			continue
		}
		mean, spread := moments(floats(d))
		ln := strings.Contains(name, "ln_")
		wantMean, wantSpread := 0.0, 0.02
		if ln {
			wantSpread = 0.1
		}
		if ln && strings.HasSuffix(name, "weight") {
			wantMean = 1
		}
		if math.Abs(mean-wantMean) > wantSpread || spread < wantSpread/2 || spread > wantSpread*2 {
			t.Errorf("initializer %q: mean %.3f, deviation %.3f, want about %g and %g", name, mean, spread, wantMean, wantSpread)
		}
	}
}

func moments(v []float32) (mean, deviation float64) {
	var sum, square float64
	for _, x := range v {
		sum += float64(x)
		square += float64(x) * float64(x)
	}
	n := float64(len(v))
	return sum / n, math.Sqrt(square/n - sum/n*sum/n)
}

func TestCopyIsTransposedEmbedding(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy.onnx")
	if err := run([]string{"-size", "tiny", "-copy", "-o", path}); err != nil {
		t.Fatal(err)
	}
	f := read(t, path)
	wte, head := floats(f.data["transformer.wte.weight"]), floats(f.data["onnx::MatMul_1"])
	v, d := int(f.dims["transformer.wte.weight"][0]), int(f.dims["transformer.wte.weight"][1])
	for i := range v {
		for j := range d {
			if wte[i*d+j] != head[j*v+i] {
				t.Fatalf("unembedding[%d,%d] = %g, want embedding[%d,%d] = %g", j, i, head[j*v+i], i, j, wte[i*d+j])
			}
		}
	}
}

func TestCausalBuffer(t *testing.T) {
	var b bytes.Buffer
	if err := causal("mask", 3).writeTo(&b); err != nil {
		t.Fatal(err)
	}
	if want := []byte{1, 0, 0, 1, 1, 0, 1, 1, 1}; !bytes.Equal(b.Bytes(), want) {
		t.Errorf("causal buffer %v, want %v", b.Bytes(), want)
	}
}

func TestSparseHasMasksOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse.onnx")
	if err := run([]string{"-size", "tiny", "-external", "-sparse", "-o", path}); err != nil {
		t.Fatal(err)
	}
	var mask bytes.Buffer
	if err := causal("", sizes["tiny"].positions).writeTo(&mask); err != nil {
		t.Fatal(err)
	}
	for name, d := range read(t, path).data { // the ranges are inside the file
		switch zero := len(bytes.TrimLeft(d, "\x00")) == 0; {
		case name == "transformer.h.0.attn.bias":
			if !bytes.Equal(d, mask.Bytes()) {
				t.Errorf("initializer %q: not the causal mask", name)
			}
		case len(d) >= externalFrom && !zero:
			t.Errorf("initializer %q: weights were written", name)
		case len(d) < externalFrom && zero:
			t.Errorf("initializer %q: inline, but holds no weights", name)
		}
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-size", "huge", "-o", "x"}, `size "huge": want one of large, llama-1b, llama-tiny, medium, small, tiny, xl`},
		{[]string{"-size", "llama-tiny", "-copy", "-o", "x"}, "flag -copy: want a size of GPT-2"},
		{[]string{"-size", "tiny"}, "flag -o"},
		{[]string{"-size", "tiny", "-sparse", "-o", "x"}, "add -external"},
		{[]string{"-size", "tiny", "-o", "x", "y"}, `argument "y"`},
		{[]string{"-size", "xl", "-o", filepath.Join(dir, "xl.onnx")}, "use -external"},
		{[]string{"-size", "tiny", "-o", filepath.Join(dir, "absent", "x.onnx")}, "absent"},
	} {
		err := run(c.args)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("gen %v: error %v, want one with %q", c.args, err, c.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("refused runs left %v", left)
	}
}
