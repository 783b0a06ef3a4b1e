package main

import (
	"encoding/json"
	"fmt"
	"math"
)

// rotaryBase is the base of the angles in Llama 3: pair i of a head of width d turns by position / rotaryBase^(2i/d).
const rotaryBase = 500000

// normEps is the epsilon of every norm of a Llama.
const normEps = float32(1e-5)

// llama describes a whole model as the builder of onnxruntime-genai writes it for the CPU in float32. The token embedding is
// gathered from the transpose of the unembedding, which is stored once.
func llama(s size) *model {
	m := &model{
		seen: map[string]int{}, ir: 10, opsets: []opset{{"", 22}, {microsoft, 1}}, producer: "onnxruntime-genai", dataSuffix: ".data",
		beside: map[string][]byte{"genai_config.json": genaiConfig(s)},
	}
	m.input("input_ids", int64Type, "batch_size", "sequence_length")
	m.input("attention_mask", int64Type, "batch_size", "total_sequence_length")
	m.output("logits", float32Type, "batch_size", "sequence_length", s.vocab)

	top := scope{m, "/model"}
	head := m.weight("lm_head.MatMul.weight", 0, noise, s.embd, s.vocab)
	m.weights = append(m.weights, rotary("cos_cache", s, math.Cos), rotary("sin_cache", s, math.Sin))
	last, total := lengths(top.in("attn_mask_reformat"))

	embed := top.in("embed_tokens")
	stream := embed.op("Gather", []string{embed.transpose(head, 1, 0), "input_ids"})
	x := norm(top.in("layers.0").in("input_layernorm"), s, stream, "model.layers.0.input_layernorm.weight")
	for l := range s.layers {
		layer, name := top.in(fmt.Sprintf("layers.%d", l)), fmt.Sprintf("model.layers.%d", l)
		out := grouped(layer.in("attn"), s, l, x, last, total)
		x, stream = join(layer.in("post_attention_layernorm"), s, stream, out, name+".post_attention_layernorm.weight", false)
		next := fmt.Sprintf("layers.%d", l+1)
		kind := "input_layernorm"
		if l == s.layers-1 {
			kind = "final_norm_layernorm"
		}
		x, stream = join(top.in(next).in(kind), s, stream, gated(layer.in("mlp"), s, x, name+".mlp"), "model."+next+"."+kind+".weight", l == s.layers-1)
	}
	m.node("MatMul", scope{m, "/lm_head"}.label("MatMul"), []string{x, head}, []string{"logits"})
	return m
}

// lengths computes the two numbers that GroupQueryAttention needs from the mask: each row's last position, and the longest row.
func lengths(c scope) (last, total string) {
	cast := func(x string) string { return c.op("Cast", []string{x}, attr{"to", int32Type}) }
	sum := c.op("ReduceSum", []string{"attention_mask", c.ints(1)}, attr{"keepdims", 0})
	return cast(c.op("Sub", []string{sum, c.ints(1)})), cast(c.dim("attention_mask", 1))
}

// grouped is one attention layer: q, k and v from one projection, with rotary positions inside the operator.
func grouped(a scope, s size, l int64, x, last, total string) string {
	d := s.embd / s.heads
	qkv := linear(a.in("qkv_proj"), x, fmt.Sprintf("model.layers.%d.attn.qkv_proj", l), s.embd, (s.heads+2*s.kv)*d)
	var past, present []string
	for _, kind := range []string{"key", "value"} {
		past = append(past, fmt.Sprintf("past_key_values.%d.%s", l, kind))
		present = append(present, fmt.Sprintf("present.%d.%s", l, kind))
		a.m.input(past[len(past)-1], float32Type, "batch_size", s.kv, "past_sequence_length", d)
		a.m.output(present[len(present)-1], float32Type, "batch_size", s.kv, "total_sequence_length", d)
	}
	label := a.label("GroupQueryAttention")
	out := label + "_output_0"
	a.m.node(microsoft+".GroupQueryAttention", label, []string{qkv, "", "", past[0], past[1], last, total, "cos_cache", "sin_cache"}, append([]string{out}, present...),
		attr{"num_heads", int(s.heads)}, attr{"kv_num_heads", int(s.kv)}, attr{"scale", float32(1 / math.Sqrt(float64(d)))},
		attr{"local_window_size", -1}, attr{"do_rotary", 1}, attr{"rotary_interleaved", 0})
	return linear(a.in("o_proj"), out, fmt.Sprintf("model.layers.%d.attn.o_proj", l), s.embd, s.embd)
}

// gated is the MLP: down(silu(gate(x)) * up(x)).
func gated(c scope, s size, x, prefix string) string {
	gate := linear(c.in("gate_proj"), x, prefix+".gate_proj", s.embd, s.mlp)
	up := linear(c.in("up_proj"), x, prefix+".up_proj", s.embd, s.mlp)
	act := c.in("act_fn")
	silu := act.op("Mul", []string{gate, act.op("Sigmoid", []string{gate})})
	return linear(c.in("down_proj"), c.op("Mul", []string{silu, up}), prefix+".down_proj", s.mlp, s.embd)
}

func linear(c scope, x, prefix string, in, out int64) string {
	return c.op("MatMul", []string{x, c.m.weight(prefix+".MatMul.weight", 0, noise, in, out)})
}

func norm(c scope, s size, x, weight string) string {
	return c.op("SimplifiedLayerNormalization", []string{x, gain(c.m, s, weight)}, attr{"axis", -1}, attr{"epsilon", normEps}, attr{"stash_type", 1})
}

// join adds out to the stream and returns the normalised sum, and the sum, which is the fourth output of the operator. The file
// leaves it out where nothing reads it: at the last norm.
func join(c scope, s size, stream, out, weight string, last bool) (normed, sum string) {
	label := c.label("SkipLayerNorm")
	outputs := []string{label + "_output_0", "", "", label + "_output_3"}
	if last {
		outputs = outputs[:1]
	}
	c.m.node(microsoft+".SkipSimplifiedLayerNormalization", label, []string{stream, out, gain(c.m, s, weight)}, outputs, attr{"epsilon", normEps})
	return outputs[0], outputs[len(outputs)-1]
}

func gain(m *model, s size, name string) string { return m.weight(name, 1, 5*noise, s.embd) }

// rotary is the table of cosines or sines: a row for each position, a column for each pair of a head.
func rotary(name string, s size, of func(float64) float64) weight {
	d := s.embd / s.heads
	return weight{name, float32Type, []int64{s.positions, d / 2}, func(i int64) float32 {
		position, pair := i/(d/2), i%(d/2)
		return float32(of(float64(position) * math.Pow(rotaryBase, -2*float64(pair)/float64(d))))
	}}
}

// genaiConfig is the part of genai_config.json that describes the model.
func genaiConfig(s size) []byte {
	type object = map[string]any
	b, err := json.MarshalIndent(object{"model": object{
		"type": "llama", "vocab_size": s.vocab, "context_length": s.positions, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
		"decoder": object{
			"filename": "model.onnx", "head_size": s.embd / s.heads, "hidden_size": s.embd,
			"num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kv,
			"inputs":  object{"input_ids": "input_ids", "attention_mask": "attention_mask", "past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value"},
			"outputs": object{"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"},
		},
	}}, "", "  ")
	if err != nil {
		panic(err) // strings and numbers have a form in JSON
	}
	return append(b, '\n')
}
