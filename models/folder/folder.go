package folder

import (
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
	"github.com/onnx-inject/onnx-inject/models/chat"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// Folder is a model in the form that exporters write: an ONNX file with its configuration and tokenizer files in the same
// folder or in a folder above it.
type Folder struct {
	Model        string         // path of the ONNX file
	Others       []string       // paths of other ONNX files in the folder; none if the caller named a file
	Config       *models.Config // never nil; zero without a configuration
	ConfigFile   string         // path of config.json, else of genai_config.json, else ""
	TokenizerDir string         // folder of the tokenizer files, "" if there are none

	dirs []string // folders that may hold the other parts
}

// modelNames are the ONNX files that are taken from a folder, best first. decoder_model.onnx has no cache inputs.
// decoder_with_past_model.onnx is not in the list, because it takes one token at a time.
var modelNames = []string{"model.onnx", "decoder_model_merged.onnx", "decoder_model.onnx"}

// checkpointNames are files of a model that has not been exported yet.
var checkpointNames = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}

// Open finds the parts of a model. path is an ONNX file, or a folder with one: the file that genai_config.json names, else
// model.onnx, decoder_model_merged.onnx or decoder_model.onnx, in this order, first in the folder itself and then in its
// subfolder onnx. If there is none of these, Open takes a single other .onnx file, even in a folder further down. If there
// are several, the caller has to name one.
//
// Files are searched next to the path as given. Symbolic links, of which the hub's cache consists, are not resolved.
// Only config.json and genai_config.json are read.
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
	root := snapshotOf(path)
	if isDir {
		root = path
		if f.Model, f.Others, err = findModel(path); err != nil {
			return nil, err
		}
	}
	f.dirs = partDirs(f.Model, root)
	for _, dir := range f.dirs {
		if f.TokenizerDir == "" && (exists(filepath.Join(dir, "tokenizer.json")) || exists(filepath.Join(dir, "vocab.json"))) {
			f.TokenizerDir = dir
		}
	}
	return f, f.readConfigs(f.dirs)
}

// Tokenizer loads the folder's tokenizer. A tokenizer with more tokens than the configuration says is refused: it belongs to
// another model, and its ids are those of other words.
func (f *Folder) Tokenizer() (*tokenizer.Tokenizer, error) {
	if f.TokenizerDir == "" {
		err := fmt.Errorf("load tokenizer: neither tokenizer.json nor vocab.json in %s", strings.Join(f.dirs, " or "))
		return nil, hint.With(err, "copy the tokenizer files of the model into the folder of the ONNX file")
	}
	t, err := tokenizer.Load(f.TokenizerDir)
	if err == nil && f.Config.Vocab > 0 && t.Ordinary() > f.Config.Vocab {
		err = fmt.Errorf("tokenizer of %s: want at most the %d tokens of %s, got %d", f.TokenizerDir, f.Config.Vocab, f.ConfigFile, t.Ordinary())
		return nil, hint.With(err, "copy the model's own tokenizer files into the folder")
	}
	return t, err
}

// Chat loads the folder's chat template.
func (f *Folder) Chat() (*chat.Template, error) {
	if f.TokenizerDir == "" {
		return nil, fmt.Errorf("load chat template: no tokenizer files in %s", strings.Join(f.dirs, " or "))
	}
	t, err := chat.Load(os.DirFS(f.TokenizerDir))
	if err != nil {
		return nil, fmt.Errorf("load chat template %q: %w", f.TokenizerDir, err)
	}
	return t, nil
}

// partDirs returns the folders that may hold the other parts of a model: its own folder, those above it up to the folder
// that was opened, and the parent of "onnx".
func partDirs(model, root string) []string {
	dir := filepath.Dir(model)
	dirs := []string{dir}
	for d := dir; root != "" && d != filepath.Clean(root); {
		d = filepath.Dir(d)
		dirs = append(dirs, d)
	}
	if abs, err := filepath.Abs(dir); len(dirs) == 1 && err == nil && filepath.Base(abs) == "onnx" {
		dirs = append(dirs, filepath.Join(dir, ".."))
	}
	return dirs
}

// snapshotOf returns the folder of a commit in the hub's cache that a file belongs to, or "" for any other file.
func snapshotOf(path string) string {
	for d, up := filepath.Dir(path), 0; up <= maxDepth; d, up = filepath.Dir(d), up+1 {
		if filepath.Base(filepath.Dir(d)) == "snapshots" {
			return d
		}
	}
	return ""
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
	chosen, err := genAIModel(dir)
	if err != nil {
		return "", nil, err
	}
	if chosen == "" || !exists(filepath.Join(dir, filepath.FromSlash(chosen))) {
		if len(found) == 0 && !exists(filepath.Join(dir, "snapshots")) {
			found = below(dir)
		}
		if chosen, err = Choose(found); err != nil {
			if len(found) == 0 {
				err = hint.With(err, instead(dir, hint.Of(err)))
			}
			return "", nil, err
		}
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

// These limit the search in subfolders. onnxruntime-genai models are published as
// cpu_and_mobile/cpu-int4-rtn-block-32/model.onnx.
const (
	maxDepth   = 3
	maxEntries = 10_000
)

// below returns the ONNX files in subfolders, as paths with slashes. A folder that cannot be read counts as empty.
func below(dir string) []string {
	var found []string
	entries := 0
	_ = fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		entries++
		switch {
		case entries > maxEntries:
			return fs.SkipAll
		case err != nil, d.IsDir() && (strings.Count(p, "/") >= maxDepth || len(p) > 1 && path.Base(p)[0] == '.'):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(p, ".onnx"):
			found = append(found, p)
		}
		return nil
	})
	return found
}

// instead returns advice for a folder without an ONNX file, based on its contents, or other if the contents give none.
func instead(dir, other string) string {
	if exists(filepath.Join(dir, "snapshots")) {
		return "this is a folder of the hub's cache: name a folder below snapshots"
	}
	for _, name := range checkpointNames {
		if exists(filepath.Join(dir, name)) {
			return fmt.Sprintf("%s is a PyTorch checkpoint: optimum-cli export onnx --model %s --task text-generation OUT makes an ONNX model of it; "+
				"install the Python package accelerate first: without it, the export stores tied weights twice", name, dir)
		}
	}
	return other
}

// Choose selects the ONNX file of a model folder. found lists the files in the folder itself and in its subfolder onnx, as
// paths with slashes relative to the folder. [Open] documents the choice.
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
		err := fmt.Errorf("no ONNX file: looked for %s, in the folder and in its subfolder onnx", strings.Join(modelNames, ", "))
		return "", hint.With(err, "export the model to ONNX, or name the file")
	case 1:
		return found[0], nil
	}
	err := fmt.Errorf("%d ONNX files, none of them called %s: %s", len(found), strings.Join(modelNames, ", "), strings.Join(found, ", "))
	return "", hint.With(err, "name one of them")
}

// statModel reports whether path is a folder. It distinguishes a dangling link from a name that does not exist.
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
			advice += "; to download a model from the hub: onnx-inject pull " + path
		}
		return false, hint.With(errors.New("no such file or folder"), advice)
	}
	return false, err
}

// likeRepo reports whether a path that does not exist could be meant as org/name or name of the hub.
func likeRepo(path string) bool {
	parts := strings.Split(path, "/")
	for _, p := range parts {
		if p == "" || p[0] == '.' || p[0] == '~' || strings.ContainsAny(p, `\: `) {
			return false
		}
	}
	return len(parts) == 1 && filepath.Ext(path) == "" || len(parts) == 2 && filepath.Ext(path) != ".onnx" && !exists(parts[0])
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
