// Command gen writes a GPT-2 with random weights as an ONNX file, to measure and test with.
//
//	go run ./scripts/bench/gen -size small -o small.onnx               # 12 layers x 768, 0.5 GB, weights inline
//	go run ./scripts/bench/gen -size xl -external -sparse -o xl.onnx   # 48 layers x 1600, 6.2 GB apparent, 1 MB written
//
// The graph has the node pattern that torch's TorchScript exporter gives for transformers' GPT2LMHeadModel at opset 17
// (the sketch stands above [block]): every shape is computed by Shape, Gather and Concat chains, every linear layer is
// Reshape, Gemm, Reshape, the causal mask is a slice of a boolean buffer chosen by Where. The unembedding is a Transpose
// of the embedding, which is stored once; -copy adds the transposed second copy that many exports carry.
//
// Inputs: input_ids int64 [batch, seq]. Outputs: logits float32 [batch, seq, vocab].
//
// Weights come from a counter-based generator seeded by the tensor's name: they differ from layer to layer (a runtime
// that keeps equal weights once would otherwise look too good), are the same in every run, and element i is known
// without the elements before it, so that nothing but one buffer is ever held in memory.
package main
