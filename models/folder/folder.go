package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// Folder is a model as exporters leave it: an ONNX file with config.json and tokenizer files beside it, or in the folder
// above where the ONNX file lies under "onnx".
type Folder struct {
	Model        string         // path of the ONNX file
	Others       []string       // paths of ONNX files that could have been meant as well; none when a file was named
	Config       *models.Config // never nil; zero without a config.json
	ConfigFile   string         // path of config.json, "" when there is none
	TokenizerDir string         // folder of the tokenizer files, "" when there are none
}

// modelNames are the ONNX files that are taken from a folder, best first. decoder_model.onnx has no cache inputs;
// decoder_with_past_model.onnx is not among them, because it takes one token at a time.
var modelNames = []string{"model.onnx", "decoder_model_merged.onnx", "decoder_model.onnx"}

// checkpointNames tell a folder that is still to be exported.
var checkpointNames = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}

// Open finds the parts of a model. path is an ONNX file, or a folder that has one: model.onnx,
// decoder_model_merged.onnx or decoder_model.onnx, in this order, first in the folder itself and then in its subfolder onnx.
// Where none of these is there, a single other .onnx file is taken; of several the caller has to name one.
//
// Files are looked for beside the path as it was given: symbolic links, of which the hub's cache consists, are not
// resolved. Nothing but config.json is read.
func Open(path string) (*Folder, error) {
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open model %q: %w", path, err)
	}
	return f, nil
}

func open(path string) (*Folder, error) {
	f := &Folder{Model: path, Config: &models.Config{}}
	isDir, err := statModel(path)
	if err != nil {
		return nil, err
	}
	if isDir {
		if f.Model, f.Others, err = findModel(path); err != nil {
			return nil, err
		}
	}
	for _, dir := range partDirs(f.Model) {
		if name := filepath.Join(dir, "config.json"); f.ConfigFile == "" && exists(name) {
			f.ConfigFile = name
		}
		if f.TokenizerDir == "" && (exists(filepath.Join(dir, "tokenizer.json")) || exists(filepath.Join(dir, "vocab.json"))) {
			f.TokenizerDir = dir
		}
	}
	if f.ConfigFile != "" {
		data, err := os.ReadFile(f.ConfigFile)
		if err != nil {
			return nil, err
		}
		if f.Config, err = ParseConfig(data); err != nil {
			return nil, fmt.Errorf("%s: %w", f.ConfigFile, err)
		}
	}
	return f, nil
}

// Tokenizer loads the folder's tokenizer.
func (f *Folder) Tokenizer() (*tokenizer.Tokenizer, error) {
	if f.TokenizerDir == "" {
		err := fmt.Errorf("load tokenizer: neither tokenizer.json nor vocab.json in %s", strings.Join(partDirs(f.Model), " or "))
		return nil, hint.With(err, "copy the tokenizer files of the model beside the ONNX file")
	}
	return tokenizer.Load(f.TokenizerDir)
}

// partDirs are the folders that the other parts of a model can be in: its own, and the one above "onnx".
func partDirs(model string) []string {
	dir := filepath.Dir(model)
	dirs := []string{dir}
	if abs, err := filepath.Abs(dir); err == nil && filepath.Base(abs) == "onnx" {
		dirs = append(dirs, filepath.Join(dir, ".."))
	}
	return dirs
}

// findModel chooses the ONNX file of a folder.
func findModel(dir string) (model string, others []string, err error) {
	var found []string
	for _, sub := range []string{".", "onnx"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if errors.Is(err, fs.ErrNotExist) && sub != "." {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".onnx") && !e.IsDir() {
				found = append(found, path.Join(sub, e.Name()))
			}
		}
	}
	chosen, err := Choose(found)
	if err != nil {
		if len(found) == 0 {
			err = hint.With(err, instead(dir, hint.Of(err)))
		}
		return "", nil, err
	}
	for _, p := range found {
		if p != chosen {
			others = append(others, filepath.Join(dir, filepath.FromSlash(p)))
		}
	}
	model = filepath.Join(dir, filepath.FromSlash(chosen))
	_, err = statModel(model)
	return model, others, err
}

// instead gives advice for a folder without an ONNX file, by what it has; other is given where that tells nothing.
func instead(dir, other string) string {
	if exists(filepath.Join(dir, "snapshots")) {
		return "this is a folder of the hub's cache: name the one below snapshots"
	}
	for _, name := range checkpointNames {
		if exists(filepath.Join(dir, name)) {
			return fmt.Sprintf("%s is a PyTorch checkpoint: optimum-cli export onnx --model %s OUT makes an ONNX model of it", name, dir)
		}
	}
	return other
}

// Choose takes the ONNX file of a model folder among those in the folder itself and in its subfolder onnx, which are given
// as paths with slashes relative to the folder. [Open] says which is taken.
func Choose(found []string) (string, error) {
	for _, sub := range []string{".", "onnx"} {
		for _, name := range modelNames {
			if p := path.Join(sub, name); slices.Contains(found, p) {
				return p, nil
			}
		}
	}
	switch len(found) {
	case 0:
		err := fmt.Errorf("no ONNX file: looked for %s, here and under onnx", strings.Join(modelNames, ", "))
		return "", hint.With(err, "export the model to ONNX, or name the file")
	case 1:
		return found[0], nil
	}
	err := fmt.Errorf("%d ONNX files, none of them called %s: %s", len(found), strings.Join(modelNames, ", "), strings.Join(found, ", "))
	return "", hint.With(err, "name one of them")
}

// statModel reports whether path is a folder; a link that leads nowhere is told from a name that is not there.
func statModel(path string) (isDir bool, err error) {
	st, err := os.Stat(path)
	if err == nil {
		return st.IsDir(), nil
	}
	if to, lerr := os.Readlink(path); lerr == nil && errors.Is(err, fs.ErrNotExist) {
		return false, hint.With(fmt.Errorf("%s links to %s, which is missing", path, to), "the download is not complete")
	}
	if errors.Is(err, fs.ErrNotExist) {
		advice := "want an ONNX file, or a folder with model.onnx and config.json"
		if likeRepo(path) {
			advice += "; a model of the hub is fetched first: onnx-inject pull " + path
		}
		return false, hint.With(errors.New("no such file or folder"), advice)
	}
	return false, err
}

// likeRepo reports whether a path that is not there could be meant as org/name of the hub.
func likeRepo(path string) bool {
	org, name, ok := strings.Cut(path, "/")
	return ok && org != "" && name != "" && org[0] != '.' && org[0] != '~' && !strings.ContainsAny(name, `/\`) &&
		filepath.Ext(name) != ".onnx" && !exists(org)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ParseConfig reads config.json of a GPT-2 or one of its relatives, which name the same things differently. What is absent
// or null stays zero; what is there must make sense.
func ParseConfig(data []byte) (*models.Config, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, fmt.Errorf("want a JSON object: %w", err)
	}
	c := &models.Config{}
	if raw, ok := keys["model_type"]; ok {
		if err := json.Unmarshal(raw, &c.ModelType); err != nil {
			return nil, fmt.Errorf("model_type: want a text, got %s", raw)
		}
	}
	for _, field := range []struct {
		into *int
		keys []string
	}{
		{&c.Layers, []string{"n_layer", "num_layers", "num_hidden_layers"}},
		{&c.Heads, []string{"n_head", "num_heads", "num_attention_heads"}},
		{&c.DModel, []string{"n_embd", "hidden_size"}},
		{&c.NCtx, []string{"n_positions", "n_ctx", "max_position_embeddings"}},
		{&c.Vocab, []string{"vocab_size"}},
	} {
		for _, key := range field.keys {
			raw, ok := keys[key]
			if !ok || string(raw) == "null" || *field.into != 0 {
				continue
			}
			if err := json.Unmarshal(raw, field.into); err != nil || *field.into <= 0 {
				return nil, fmt.Errorf("%s: want a whole number above 0, got %s", key, raw)
			}
		}
	}
	return c, nil
}
