package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// tokenizerJSON is the part of Hugging Face's tokenizer.json that decides ids. Truncation, padding, post-processor and decoder
// do not: they act after the ids are made, or on the way back.
type tokenizerJSON struct {
	AddedTokens  []addedToken     `json:"added_tokens"`
	Normalizer   *component       `json:"normalizer"`
	PreTokenizer *component       `json:"pre_tokenizer"`
	Model        *json.RawMessage `json:"model"`
}

type component struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	UseRegex       *bool  `json:"use_regex"` // older files do not have it and mean true
}

// addedToken is how tokenizer.json and tokenizer_config.json write an added token.
type addedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Special    bool   `json:"special"`
}

func (a addedToken) check() error {
	if a.SingleWord || a.LStrip || a.RStrip {
		return unsupported("added token %q has single_word, lstrip or rstrip, which are not implemented", a.Content)
	}
	return nil
}

type bpeModel struct {
	Vocab        map[string]int64 `json:"vocab"`
	Merges       []mergeJSON      `json:"merges"`
	Dropout      float64          `json:"dropout"`
	Prefix       string           `json:"continuing_subword_prefix"`
	Suffix       string           `json:"end_of_word_suffix"`
	IgnoreMerges bool             `json:"ignore_merges"`
}

// mergeJSON is "a b" in files up to tokenizers 0.19 and ["a", "b"] after.
type mergeJSON [2]string

func (m *mergeJSON) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		var pair []string
		if err := json.Unmarshal(data, &pair); err != nil {
			return err
		}
		if len(pair) != 2 {
			return fmt.Errorf("want a merge of two tokens, got %q", pair)
		}
		*m = mergeJSON(pair)
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	pair, err := splitMerge(s)
	*m = pair
	return err
}

// parseTokenizerJSON refuses, by name, all that would change ids and is not implemented: better no ids than wrong ones.
func parseTokenizerJSON(data []byte) (*spec, error) {
	var f tokenizerJSON
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Model == nil {
		return nil, errors.New("no model")
	}
	// Other model types give vocab another form, so the type has to be known first.
	// Old files of BPE tokenizers name no type.
	var kind component
	if err := json.Unmarshal(*f.Model, &kind); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if kind.Type != "" && kind.Type != "BPE" {
		return nil, unsupported("model type %q, want \"BPE\"", kind.Type)
	}
	if f.Normalizer != nil {
		return nil, unsupported("normalizer %q, want none", f.Normalizer.Type)
	}
	pre := f.PreTokenizer
	switch {
	case pre == nil:
		return nil, unsupported("no pre-tokenizer, want \"ByteLevel\"")
	case pre.Type != "ByteLevel":
		return nil, unsupported("pre-tokenizer %q, want \"ByteLevel\"", pre.Type)
	case pre.UseRegex != nil && !*pre.UseRegex:
		return nil, unsupported("pre-tokenizer \"ByteLevel\" with use_regex false, want GPT-2's own splitting")
	}
	var m bpeModel
	if err := json.Unmarshal(*f.Model, &m); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	switch {
	case m.Dropout != 0:
		return nil, unsupported("model has dropout %v, which makes ids random", m.Dropout)
	case m.Prefix != "":
		return nil, unsupported("model has continuing_subword_prefix %q, want none", m.Prefix)
	case m.Suffix != "":
		return nil, unsupported("model has end_of_word_suffix %q, want none", m.Suffix)
	case m.IgnoreMerges:
		return nil, unsupported("model has ignore_merges, which is not implemented")
	}
	s := &spec{vocab: m.Vocab, prefix: pre.AddPrefixSpace, bosID: -1}
	for _, pair := range m.Merges {
		s.merges = append(s.merges, pair)
	}
	for _, a := range f.AddedTokens {
		if err := a.check(); err != nil {
			return nil, err
		}
		s.added = append(s.added, added{a.Content, a.ID, a.Special})
	}
	return s, nil
}

func unsupported(format string, args ...any) error {
	return hint.With(fmt.Errorf(format, args...),
		"only byte-level BPE, as GPT-2 and its relatives have it, is read; other tokenizers are not")
}
