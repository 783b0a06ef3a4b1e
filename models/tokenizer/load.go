package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
)

// Load reads the tokenizer of a model folder.
//
// It uses tokenizer.json (Hugging Face) if there is one, because that file is complete, and otherwise vocab.json with
// merges.txt (the format in which OpenAI published GPT-2). Both give the same ids. An unsupported tokenizer.json is an
// error even if the other two files exist. Three more files are used if they exist: added_tokens.json,
// tokenizer_config.json and special_tokens_map.json name added and special tokens, and the second may set add_prefix_space.
// These files and the model's configurations name the tokens that begin and end a text. If no file names special tokens,
// <|endoftext|> is special if the vocabulary has it.
//
// The error gives the file, the expected value and the actual value, with a hint ([hint.Of]) on what to do.
func Load(dir string) (*Tokenizer, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	t, err := load(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %q: %w", dir, err)
	}
	return t, nil
}

// LoadFS is [Load] for a folder that is not on disk, such as one embedded in the program. The files are at the root of fsys.
func LoadFS(fsys fs.FS) (*Tokenizer, error) {
	t, err := load(fsys)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	return t, nil
}

const copyHint = "copy tokenizer.json, or vocab.json and merges.txt, from the folder that the model was exported from"

func load(fsys fs.FS) (*Tokenizer, error) {
	s, source, err := readModel(fsys)
	if err != nil {
		return nil, err
	}
	if err := readNames(fsys, s); err != nil {
		return nil, err
	}
	t, err := build(*s)
	if err != nil {
		return nil, hint.With(fmt.Errorf("%s: %w", source, err), supportedHint)
	}
	return t, nil
}

// readModel reads vocabulary and merges, and returns the name of the files they come from.
func readModel(fsys fs.FS) (*spec, string, error) {
	data, ok, err := read(fsys, "tokenizer.json")
	if err != nil {
		return nil, "", err
	}
	if ok {
		s, err := parseTokenizerJSON(data)
		if err != nil {
			return nil, "", fmt.Errorf("tokenizer.json: %w", err)
		}
		return s, "tokenizer.json", nil
	}
	vocab, haveVocab, err := read(fsys, "vocab.json")
	if err != nil {
		return nil, "", err
	}
	merges, haveMerges, err := read(fsys, "merges.txt")
	if err != nil {
		return nil, "", err
	}
	switch {
	case !haveVocab && !haveMerges:
		return nil, "", hint.With(errors.New("none found: neither tokenizer.json nor vocab.json with merges.txt"), copyHint)
	case !haveMerges:
		return nil, "", hint.With(errors.New("vocab.json without merges.txt, and no tokenizer.json"), copyHint)
	case !haveVocab:
		return nil, "", hint.With(errors.New("merges.txt without vocab.json, and no tokenizer.json"), copyHint)
	}
	if err := gpt2Class(fsys); err != nil {
		return nil, "", err
	}
	s := &spec{
		pipeline: pipeline{splitters: []splitter{byteLevel{regex: true}}}, bytes: true, decoder: decoder{steps: []func(string) string{unspell}},
		begin: begin{id: -1, gpt2: true},
	}
	if err := json.Unmarshal(vocab, &s.vocab); err != nil {
		return nil, "", fmt.Errorf("vocab.json: %w", err)
	}
	if s.merges, err = parseMerges(string(merges)); err != nil {
		return nil, "", fmt.Errorf("merges.txt: %w", err)
	}
	return s, "vocab.json and merges.txt", nil
}

// gpt2Classes are the tokenizers that split like GPT-2's. vocab.json and merges.txt do not describe how others split.
var gpt2Classes = []string{"", "GPT2Tokenizer", "CodeGenTokenizer", "RobertaTokenizer", "BartTokenizer", "PreTrainedTokenizer"}

// gpt2Class refuses vocab.json and merges.txt of another kind of tokenizer.
func gpt2Class(fsys fs.FS) error {
	var config struct {
		Class string `json:"tokenizer_class"`
	}
	if err := readJSON(fsys, "tokenizer_config.json", &config); err != nil {
		return err
	}
	if !slices.Contains(gpt2Classes, strings.TrimSuffix(config.Class, "Fast")) {
		return hint.With(fmt.Errorf("vocab.json and merges.txt of a %s do not define how it splits text; want tokenizer.json", config.Class), copyHint)
	}
	return nil
}

// parseMerges reads one merge per line, "a b", the best first. The file may begin with a version line.
func parseMerges(text string) ([][2]string, error) {
	var merges [][2]string
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		m, err := splitMerge(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		merges = append(merges, m)
	}
	return merges, nil
}

func splitMerge(s string) ([2]string, error) {
	left, right, _ := strings.Cut(s, " ")
	if left == "" || right == "" || strings.Contains(right, " ") {
		return [2]string{}, fmt.Errorf("want a merge of two tokens, got %q", s)
	}
	return [2]string{left, right}, nil
}

// maxFile limits the bytes read into memory. The tokenizer.json of a vocabulary of 2^18 has about 35 MB.
const maxFile = 64 << 20

// read returns the contents of a file and whether it exists.
func read(fsys fs.FS, name string) ([]byte, bool, error) {
	data, err := sidefile.Read(fsys, name, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return data, err == nil, err
}
