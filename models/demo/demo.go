package demo

import (
	"bytes"
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

//go:embed config.json generation_config.json tokenizer_config.json vocab.json merges.txt model.onnx prompts.csv three_hops.csv two_phrases.csv corrected.csv texts.txt words.txt reference.json
var files embed.FS

// Files returns the model folder: an ordinary exported GPT-2 folder, plus prompts.csv, the other sets of prompts, texts.txt, words.txt
// and reference.json. It has no subfolders, and the file system is read-only.
func Files() fs.FS { return files }

// Prompt is one two-hop question of the demo world that the training text does not contain: a row of prompts.csv. Both
// sentences end before the answer. The obscure sentence is the explicit one with ExplicitEntity replaced by ObscureEntity.
type Prompt struct {
	ExplicitSentence string // one hop: "People in Japan speak"
	ObscureSentence  string // two hops: "People in the land of Mount Fuji speak"
	ExplicitEntity   string // the missing hop, and so the curated memory: "Japan"
	ObscureEntity    string // "the land of Mount Fuji"
	Answer           string // without the space that a tokenizer requires before it: "Japanese"
	Relation         string // "capital", "currency" or "language"
}

// Prompts returns the rows of prompts.csv in file order: nine for each held-out country.
func Prompts() []Prompt {
	rows := must(csv.NewReader(strings.NewReader(text("prompts.csv"))).ReadAll())
	prompts := make([]Prompt, 0, len(rows)-1)
	for _, r := range rows[1:] {
		prompts = append(prompts, Prompt{r[0], r[1], r[2], r[3], r[4], r[5]})
	}
	return prompts
}

// Words returns the lines of words.txt, verbatim: words that the model knows well and that belong to no fact, for random
// memories.
func Words() []string { return strings.Split(strings.TrimSuffix(text("words.txt"), "\n"), "\n") }

// Texts returns the lines of texts.txt: texts of the demo world about the countries that prompts.csv does not ask about.
func Texts() []string { return strings.Split(strings.TrimSuffix(text("texts.txt"), "\n"), "\n") }

func text(name string) string { return string(must(files.ReadFile(name))) }

// must returns what reading an embedded file gives. It fails only if the program was built with other files.
func must[T any](x T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("embedded files: %v", err))
	}
	return x
}

// WriteTo writes the files into dir, which it creates when missing. It skips files that exist with the same bytes. When a file
// exists with other contents, it writes nothing and returns an error.
func WriteTo(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("demo model: %w", err)
	}
	missing := map[string][]byte{}
	for _, e := range must(files.ReadDir(".")) {
		path, want := filepath.Join(dir, e.Name()), []byte(text(e.Name()))
		got, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing[path] = want
		case err != nil:
			return fmt.Errorf("demo model: %w", err)
		case !bytes.Equal(got, want):
			return hint.With(fmt.Errorf("demo model: %w", &atomicfile.Error{Path: path, Err: errors.New("the file exists already, with other contents")}),
				"name a new folder with -o")
		}
	}
	for path, data := range missing {
		if err := atomicfile.Write(path, data, false); err != nil {
			return fmt.Errorf("demo model: %w", err)
		}
	}
	return nil
}
