package main

import (
	"path/filepath"
	"strconv"

	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// tokenTexts are the tokenizers of runs, where they were found.
type tokenTexts map[*results.Run]*tokenizer.Tokenizer

// findTokens takes the tokenizer of the named model for all runs that have it, and else looks for a folder of the model's name.
// A named one that no run has is an error; one that was looked for and does not fit is passed over. The authors' files do not
// say which tokenizer they are of, and take the named one.
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
			return nil, hintf(refused(usagef("flag --model %s: its tokenizer is not the one that the results were made with", quote(model))), "leave --model out to see the numbers of tokens")
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

// tokensIn loads the tokenizer of a folder when its bytes are those; nil otherwise.
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

// text writes a token in quotes, because most begin with a space; "" where the tokenizer was not found.
func (t tokenTexts) text(run *results.Run, id int64) string {
	if t[run] == nil {
		return ""
	}
	return strconv.Quote(t[run].Token(id))
}
