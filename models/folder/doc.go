// Package folder opens a model as exporters leave it: an ONNX file with config.json or genai_config.json and the files of a
// tokenizer.
//
// A [Folder] is where these parts are. [Open] finds them from the path of a file or of a folder; of several ONNX files it takes
// the one that genai_config.json names, else one that can run a whole text. Nothing but the two configurations is read, and
// symbolic links are not resolved, because the cache of the hub is made of them.
package folder
