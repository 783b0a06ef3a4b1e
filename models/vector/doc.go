// Package vector reads and writes files that hold a memory: a vector [d_model] that is added, times tau, to the attention
// output of a layer, and facts about it (text, encoding, convention, layer, model).
//
// The file's extension selects one of three formats, none of which can contain code:
//
//	.npy          NumPy's format: numbers and a shape, no facts
//	.safetensors  Hugging Face's format: named tensors; the facts are in __metadata__
//	.gguf         control vectors of llama.cpp and repeng: one direction per layer; the facts are metadata
//
// A file may hold several vectors. [ReadAll] returns all of them. [Read] requires exactly one, or a path that selects one:
//
//	file.safetensors#name        a tensor
//	file.gguf#direction.7        the direction of a layer
//	file.safetensors#name[12]    row 12, from 0, of a tensor [row, …]
//	folder#hook[12]              row 12 of the captured values of a hook, over all files of the folder
//
// A row of several axes, such as z [head, d_head], is read as one vector.
//
// A vector may be stored as float16, bfloat16, float32 or float64 with shape [d], [1, d] or [1, 1, d]; reading converts it to
// float32. Files are written as float32 of shape [d]. Pickles (.pt, .pth, .bin, .pkl) are refused, because reading a pickle
// runs any code that its author put there.
//
// # Layers in control vectors
//
// llama.cpp and repeng number layers from 0, as this project does, and never steer layer 0, so direction.1 is layer 1. They
// add after the whole layer (hook_resid_post); this project adds after the layer's attention (hook_resid_mid) at its default
// site. The same file steers both, with different results. A memory without a layer is written as direction.1 with onnx_inject.layer = "any".
//
// # Guarantees
//
//   - A vector that is read or written has 1 to [MaxWidth] elements, all of them finite.
//   - Readers read the header first and check every size and offset in it against the size of the file before they
//     allocate memory. Tensors cover the data exactly, without holes, overlaps or bytes after the end.
//   - [Write] writes the whole file under another name in the same folder, syncs it and then renames it. Without force it
//     never replaces a file, not even one that was created in the meantime.
//
// Sources: numpy/lib/_format_impl.py (NEP 1); the format section of huggingface/safetensors' README; ggml-org/ggml docs/gguf.md and
// common_control_vector_load_one in llama.cpp's common/common.cpp.
package vector
