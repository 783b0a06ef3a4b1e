package hub

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/folder"
)

// companions are the files next to an ONNX file that complete a model folder.
var companions = []string{"config.json", "generation_config.json", "genai_config.json",
	"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"chat_template.jinja", "chat_template.json"}

// maxCompanion is the largest size of a companion, in bytes; the largest vocabularies take 40 MB.
const maxCompanion = 256 << 20

// maxData is the largest number of weight files of one model, which is the limit of package graph.
const maxData = 1024

// ONNX lists the ONNX files of the commit.
func (l *Listing) ONNX() []File {
	var out []File
	for _, f := range l.Files {
		if path.Ext(f.Name) == ".onnx" {
			out = append(out, f)
		}
	}
	return out
}

// Find returns the file with this name.
func (l *Listing) Find(name string) (File, bool) {
	i := slices.IndexFunc(l.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return File{}, false
	}
	return l.Files[i], true
}

// Choose returns the ONNX file with this name. For the name of a folder it returns the file that [folder.Open] would choose there;
// "" is the whole repository.
func (l *Listing) Choose(name string) (File, error) {
	all := l.ONNX()
	if len(all) == 0 {
		return File{}, hint.With(fmt.Errorf("want an ONNX file, found none among the %d files of %s", len(l.Files), l.Commit[:8]),
			`export it yourself: pip install "optimum-onnx[onnxruntime]" accelerate, then optimum-cli export onnx --model `+l.Repo+" --task text-generation DIR")
	}
	if path.Ext(name) == ".onnx" {
		f, ok := l.Find(name)
		if !ok {
			return File{}, hint.With(fmt.Errorf("no file %q in the repository", name), "it has "+names(all))
		}
		return f, nil
	}
	top := path.Clean(name) // "." for ""
	var near []string
	var below []File
	for _, f := range all {
		rel := f.Name
		if top != "." {
			var ok bool
			if rel, ok = strings.CutPrefix(f.Name, top+"/"); !ok {
				continue
			}
		}
		below = append(below, f)
		if dir := path.Dir(rel); dir == "." || dir == "onnx" {
			near = append(near, rel)
		}
	}
	switch {
	case len(below) == 0:
		return File{}, hint.With(fmt.Errorf("%q is neither an .onnx file nor a folder that has one", name), "--list shows the ONNX files of the repository")
	case len(below) == 1:
		return below[0], nil
	case len(near) == 0:
		return File{}, hint.With(fmt.Errorf("want an ONNX file at the top or under onnx, found %s", names(below)), "name one of them with --file")
	}
	chosen, err := folder.Choose(near)
	if err != nil {
		return File{}, hint.With(err, "name one of them with --file")
	}
	f, _ := l.Find(path.Join(top, chosen))
	return f, nil
}

// names lists files for a message.
func names(files []File) string {
	const most = 8
	var out []string
	for _, f := range files[:min(most, len(files))] {
		out = append(out, f.Name)
	}
	if n := len(files) - most; n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(out, ", ")
}

// companions returns the companion files of a model: those next to it, else those with the same name at the top.
func (l *Listing) companions(model File) ([]File, error) {
	var out []File
	for _, name := range companions {
		f, ok := l.Find(path.Join(path.Dir(model.Name), name))
		if !ok {
			f, ok = l.Find(name)
		}
		if f.Size > maxCompanion {
			return nil, fmt.Errorf("file %q: %d bytes, want at most %d MB", f.Name, f.Size, maxCompanion>>20)
		}
		if ok {
			out = append(out, f)
		}
	}
	return out, nil
}

// Data guesses which files hold the weights of an ONNX file from the names that exporters use: model.onnx_data,
// model.onnx_data_1, model.onnx.data.
func (l *Listing) Data(model File) []File {
	var out []File
	for _, f := range l.Files {
		if rest, ok := strings.CutPrefix(f.Name, model.Name); ok && (strings.HasPrefix(rest, "_data") || strings.HasSuffix(rest, ".data")) {
			out = append(out, f)
		}
	}
	return out
}

// located returns the files that hold the weights according to the graph.
func (l *Listing) located(model File, locations []string) ([]File, error) {
	if len(locations) > maxData {
		return nil, fmt.Errorf("the weights are in %d files, more than %d", len(locations), maxData)
	}
	var out []File
	for _, loc := range locations {
		name := path.Join(path.Dir(model.Name), loc)
		if name == model.Name {
			continue // a graph may name its own file
		}
		if holdsCode(name) {
			return nil, errors.New("the weights are in " + name + ": files of this kind can hold code and are never downloaded")
		}
		f, ok := l.Find(name)
		if !ok {
			return nil, hint.With(fmt.Errorf("the weights are in %s, which is missing", name), "choose another ONNX file with --file; use --list to show them")
		}
		out = append(out, f)
	}
	return out, nil
}
