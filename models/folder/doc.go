// Package folder opens a model in the form that exporters write: an ONNX file, config.json or genai_config.json, and the
// files of a tokenizer.
//
// A [Folder] lists these parts. [Open] finds them from the path of a file or of a folder. If a folder has several ONNX files,
// Open takes the one that genai_config.json names, else one that can run a whole text. It reads only the two configurations.
// It does not resolve symbolic links, because the cache of the Hugging Face hub consists of them.
package folder
