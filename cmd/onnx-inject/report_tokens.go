package main

import (
	"path/filepath"
	"strconv"

	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// tokenTexts maps runs to their tokenizers, if they were found.
type tokenTexts map[*results.Run]*tokenizer.Tokenizer

// findTokens uses the tokenizer of the named model for all runs made with it, and searches a folder with the model's name for the
// other runs. It is an error if no run was made with the named model's tokenizer; a tokenizer that was found by search and does
// not match is ignored. The authors' files do not record a tokenizer, so they use the named one.
func findTokens(model string, runs []*results.Run) (tokenTexts, error) {
	out := tokenTexts{}
	if model != "" {
		f, err := folder.Open(model)
		if err != nil {
			return nil, refused(err)
		}
		t, err := f.Tokenizer()
		if err != nil {
			return nil, refused(err)
		}
		sum, err := eval.HashTokenizer(f.TokenizerDir)
		if err != nil {
			return nil, refused(err)
		}
		for _, r := range runs {
			if have := r.Manifest.Model.Tokenizer; have == sum || have == "" {
				out[r] = t
			}
		}
		if len(out) == 0 {
			return nil, hintf(refused(usagef("flag --model %s: the results were made with another tokenizer", quote(model))), "omit --model to show tokens as numbers")
		}
	}
	for _, r := range runs {
		name := r.Manifest.Model.Name
		if out[r] != nil || r.Manifest.Model.Tokenizer == "" || name == "" || filepath.Base(name) != name {
			continue
		}
		for _, dir := range []string{name, filepath.Join(r.Dir, "..", name), filepath.Join(r.Dir, "..")} {
			if t := tokensIn(dir, r.Manifest.Model.Tokenizer); t != nil {
				out[r] = t
				break
			}
		}
	}
	return out, nil
}

// tokensIn loads the tokenizer of a folder. It returns nil unless the tokenizer's checksum is sum.
func tokensIn(dir, sum string) *tokenizer.Tokenizer {
	if have, err := eval.HashTokenizer(dir); err != nil || have != sum {
		return nil
	}
	t, err := tokenizer.Load(dir)
	if err != nil {
		return nil
	}
	return t
}

// text writes a token in quotes, because most tokens begin with a space. It returns "" if the tokenizer was not found.
func (t tokenTexts) text(run *results.Run, id int64) string {
	if t[run] == nil {
		return ""
	}
	return strconv.Quote(t[run].Token(id))
}
