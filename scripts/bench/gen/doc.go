// Command gen writes a GPT-2 or a Llama with random weights as an ONNX file, for measurements and tests.
//
//	go run ./scripts/bench/gen -size small -o small.onnx               # 12 layers x 768, 0.5 GB, weights inline
//	go run ./scripts/bench/gen -size xl -external -sparse -o xl.onnx   # 48 layers x 1600, 6.2 GB apparent, 1 MB written
//	go run ./scripts/bench/gen -size llama-1b -external -sparse -o llama/model.onnx   # 16 layers x 2048, 5 GB apparent, 70 kB written
//
// # GPT-2
//
// The graph has the node pattern of torch's TorchScript exporter for transformers' GPT2LMHeadModel at opset 17 (see the
// diagram at [block]): chains of Shape, Gather and Concat compute every shape, every linear layer is Reshape, Gemm, Reshape,
// and the causal mask is a slice of a boolean buffer applied with Where. The unembedding is a Transpose of the embedding,
// which is stored once; -copy adds the transposed second copy that many exports contain.
//
// Inputs: input_ids int64 [batch, seq]. Outputs: logits float32 [batch, seq, vocab].
//
// # Llama
//
// The graph is that of the model builder of onnxruntime-genai for the CPU (see [llama]): GroupQueryAttention with q, k and v
// from one projection, and SkipSimplifiedLayerNormalization, whose fourth output is the residual stream. genai_config.json is
// written to the same folder. Inputs are input_ids, attention_mask and the cache; outputs are logits and the new cache.
//
// # Weights
//
// Weights come from a counter-based generator seeded by the tensor's name. They differ from layer to layer (a runtime that
// stores equal weights once would otherwise look too good) and are the same in every run. Element i does not depend on the
// elements before it, so only one buffer is held in memory.
package main
