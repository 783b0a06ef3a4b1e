// Package vector reads and writes files that hold a memory: a vector [d_model] that is added, times tau, to the attention output
// of a layer, and the facts about it (text, encoding, convention, layer, model).
//
// Three formats, chosen by the file's extension, none of which can hold code:
//
//	.npy          NumPy's own: numbers and a shape, no facts
//	.safetensors  Hugging Face: named tensors; the facts are in __metadata__
//	.gguf         control vectors as llama.cpp and repeng have them: one direction a layer; the facts are metadata
//
// A file may hold several vectors. [ReadAll] returns them all; [Read] wants exactly one, or a path that chooses: file.safetensors#name
// or file.gguf#direction.7.
//
// A vector may be stored as float16, bfloat16, float32 or float64 with shape [d], [1, d] or [1, 1, d]; here it is float32. What is
// written is float32 of shape [d]. Pickles (.pt, .pth, .bin, .pkl) are refused: reading one runs whatever code its author put there.
//
// # Layers in control vectors
//
// llama.cpp and repeng number layers from 0, as we do, and never steer layer 0; so direction.1 is layer 1. They add after the whole layer
// (hook_resid_post), we add after its attention (hook_resid_mid): the same file steers both, with results that differ. A memory that
// belongs to no layer is written as direction.1 with onnx_inject.layer = "any".
//
// # What always holds
//
//   - A vector that is read or written has 1 to [MaxWidth] elements, all of them finite.
//   - Readers look at the header first and hold every size and offset in it against the size of the file before they allocate.
//     Tensors cover the data exactly: no holes, no overlap, nothing after the end.
//   - [Write] makes the whole file under another name in the same folder, syncs it and only then gives it its name. Without force
//     it never replaces a file, not even one that appears meanwhile.
//
// Sources: numpy/lib/_format_impl.py (NEP 1); the format section of huggingface/safetensors' README; ggml-org/ggml docs/gguf.md and
// common_control_vector_load_one in llama.cpp's common/common.cpp.
package vector
