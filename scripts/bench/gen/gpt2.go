package main

import (
	"fmt"
	"math"
)

// std is the standard deviation of GPT-2's initial weights. Uniform noise of half-width std*√3 has the same deviation.
const std = 0.02

var noise = float32(std * math.Sqrt(3))

// gpt2 describes a whole model. With copied, the unembedding is a separate tensor, equal to the transposed embedding.
func gpt2(s size, copied bool) *model {
	m := &model{seen: map[string]int{}, ir: 8, opsets: []opset{{"", 17}}, producer: "pytorch", dataSuffix: "_data"}
	top := scope{m, "/transformer"}
	m.input("input_ids", int64Type, "batch", "seq")
	m.output("logits", float32Type, "batch", "seq", s.vocab)

	wte := m.weight("transformer.wte.weight", 0, noise, s.vocab, s.embd)
	wpe := m.weight("transformer.wpe.weight", 0, noise, s.positions, s.embd)
	m.weights = append(m.weights, causal("transformer.h.0.attn.bias", s.positions))

	seq := top.dim("input_ids", 1)
	ids := top.reshape("input_ids", -1, seq)
	positions := top.op("Unsqueeze", []string{top.op("Range", []string{top.index(0), seq, top.index(1)}), top.ints(0)})
	x := top.op("Add", []string{
		top.in("wte").op("Gather", []string{wte, ids}),
		top.in("wpe").op("Gather", []string{wpe, positions}),
	})
	width := top.dimFromEnd(x, -1)
	for l := range s.layers {
		x = block(top.in(fmt.Sprintf("h.%d", l)), s, x)
	}
	x = top.reshape(layerNorm(top.in("ln_f"), s, x, "transformer.ln_f"), -1, seq, width)

	head := scope{m, "/lm_head"}
	var unembed string
	if copied {
		unembed = "onnx::MatMul_1"
		seed, v, d := seedOf(wte), s.vocab, s.embd
		m.weights = append(m.weights, weight{unembed, float32Type, []int64{d, v}, func(i int64) float32 {
			return noise * uniform(seed, i%v*d+i/v) // element [row, col] of the transpose is [col, row] of the embedding
		}})
	} else {
		unembed = head.transpose(wte, 1, 0)
	}
	m.node("MatMul", head.label("MatMul"), []string{x, unembed}, []string{"logits"})
	return m
}

// block is one transformer block in the form of torch's TorchScript exporter:
//
//	x:[B,T,D] ─ ln_1 ─ Reshape ─ Gemm ─ Reshape ─ Split ─ q,k,v ─ Reshape[B,T,H,Dh] ─ Transpose[0,2,1,3]
//	scores = MatMul(q, kᵀ) ─ Div √Dh ─ Where(causal, ·, lowest) ─ Softmax ─ MatMul(·, v)
//	       ─ Transpose[0,2,1,3] ─ Reshape[B,T,D] ─ Reshape ─ Gemm ─ Reshape = attn_out
//	x' = Add(attn_out, x);  x'' = Add(x', mlp(ln_2(x')))
func block(b scope, s size, x string) string {
	prefix := "transformer." + b.name[len("/transformer/"):]
	a := b.in("attn")
	out := attention(a, s, layerNorm(b.in("ln_1"), s, x, prefix+".ln_1"), prefix+".attn")
	x = b.op("Add", []string{out, x})

	mlp := b.in("mlp")
	h := conv1D(mlp.in("c_fc"), layerNorm(b.in("ln_2"), s, x, prefix+".ln_2"), prefix+".mlp.c_fc", s.embd, 4*s.embd)
	h = gelu(mlp.in("act"), h)
	h = conv1D(mlp.in("c_proj"), h, prefix+".mlp.c_proj", 4*s.embd, s.embd)
	return b.op("Add", []string{x, h})
}

func attention(a scope, s size, x, prefix string) string {
	head := s.embd / s.heads
	qkv := a.ops("Split", 3, []string{conv1D(a.in("c_attn"), x, prefix+".c_attn", s.embd, 3*s.embd), a.ints(s.embd, s.embd, s.embd)}, attr{"axis", 2})
	for i, v := range qkv {
		qkv[i] = a.transpose(a.reshape(v, a.dim(v, 0), a.dim(v, 1), s.heads, head), 0, 2, 1, 3)
	}
	q, k, v := qkv[0], qkv[1], qkv[2]

	scores := a.op("MatMul", []string{q, a.transpose(k, 0, 1, 3, 2)})
	// torch.full([], Dh ** 0.5): not a constant in the file
	root := a.op("Pow", []string{a.op("Cast", []string{a.dimFromEnd(v, -1)}, attr{"to", float32Type}), a.scalar(0.5)})
	zero := a.op("ConstantOfShape", []string{a.constant(int64Type, []int64{0}, nil)},
		attr{"value", tensorHead(float32Type, "", []int64{1}).sub(9, make([]byte, 4))})
	scores = a.op("Div", []string{scores, a.op("Add", []string{zero, root})})

	// rows past:all and columns 0:all of the causal buffer
	queries, keys := a.dimFromEnd(q, -2), a.dimFromEnd(k, -2)
	past := a.op("Sub", []string{keys, queries})
	unsqueeze := func(x string) string { return a.op("Unsqueeze", []string{x, a.ints(0)}) }
	mask := a.op("Slice", []string{"transformer.h.0.attn.bias", unsqueeze(past), unsqueeze(keys), a.ints(2), a.ints(1)})
	mask = a.op("Slice", []string{mask, a.ints(0), unsqueeze(keys), a.ints(3), a.ints(1)})
	scores = a.op("Where", []string{mask, scores, a.scalar(-math.MaxFloat32)})

	z := a.op("MatMul", []string{a.op("Softmax", []string{scores}, attr{"axis", -1}), v})
	z = a.transpose(z, 0, 2, 1, 3)
	z = a.reshape(z, a.dim(z, 0), a.dim(z, 1), s.embd)
	return conv1D(a.in("c_proj"), z, prefix+".c_proj", s.embd, s.embd)
}

// conv1D is transformers' linear layer: addmm on the flattened positions, weight [in, out].
func conv1D(c scope, x, prefix string, in, out int64) string {
	batch, seq := c.dim(x, 0), c.dim(x, 1)
	flat := c.reshape(x, -1, c.dimFromEnd(x, -1))
	w := c.m.weight(prefix+".weight", 0, noise, in, out)
	b := c.m.weight(prefix+".bias", 0, noise, out)
	y := c.op("Gemm", []string{flat, w, b}, attr{"alpha", float32(1)}, attr{"beta", float32(1)})
	return c.reshape(y, batch, seq, out)
}

func layerNorm(c scope, s size, x, prefix string) string {
	w := c.m.weight(prefix+".weight", 1, 5*noise, s.embd)
	b := c.m.weight(prefix+".bias", 0, 5*noise, s.embd)
	return c.op("LayerNormalization", []string{x, w, b}, attr{"axis", -1}, attr{"epsilon", float32(1e-5)})
}

// gelu is the tanh form: x/2 * (1 + tanh(√(2/π) * (x + 0.044715 x³))).
func gelu(c scope, x string) string {
	half := c.op("Mul", []string{x, c.scalar(0.5)})
	cube := c.op("Pow", []string{x, c.scalar(3)})
	inner := c.op("Add", []string{x, c.op("Mul", []string{cube, c.scalar(0.044715)})})
	tanh := c.op("Tanh", []string{c.op("Mul", []string{inner, c.scalar(float32(math.Sqrt(2 / math.Pi)))})})
	return c.op("Mul", []string{half, c.op("Add", []string{tanh, c.scalar(1)})})
}
