package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// tokenizerJSON is Hugging Face's tokenizer.json without truncation and padding, which apply after the ids are made.
type tokenizerJSON struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// addedToken is an added token as written in tokenizer.json and tokenizer_config.json.
type addedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"` // if absent, tokens that are not special are normalized
	Special    bool   `json:"special"`
}

func (a addedToken) token(id int64) added {
	normal := !a.Special
	if a.Normalized != nil {
		normal = *a.Normalized
	}
	return added{text: a.Content, id: id, special: a.Special, normal: normal, word: a.SingleWord, lstrip: a.LStrip, rstrip: a.RStrip}
}

type bpeModel struct {
	Vocab        map[string]int64 `json:"vocab"`
	Merges       []mergeJSON      `json:"merges"`
	Dropout      float64          `json:"dropout"`
	Unknown      string           `json:"unk_token"`
	Fuse         bool             `json:"fuse_unk"`
	Fallback     bool             `json:"byte_fallback"`
	Prefix       string           `json:"continuing_subword_prefix"`
	Suffix       string           `json:"end_of_word_suffix"`
	IgnoreMerges bool             `json:"ignore_merges"`
}

// mergeJSON is "a b" in files up to tokenizers 0.19 and ["a", "b"] in later ones.
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

// parseTokenizerJSON refuses, by name, everything that would change ids and is not implemented, because no ids are better
// than wrong ids.
func parseTokenizerJSON(data []byte) (*spec, error) {
	var f tokenizerJSON
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Model == nil {
		return nil, errors.New("no model")
	}
	// Other model types use another form for vocab, so the type must be read first. Old files of BPE tokenizers do not name
	// a type.
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(f.Model, &kind); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if kind.Type != "" && kind.Type != "BPE" {
		return nil, unsupported("model type %q; want \"BPE\"", kind.Type)
	}
	var m bpeModel
	if err := json.Unmarshal(f.Model, &m); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	switch {
	case m.Dropout != 0:
		return nil, unsupported("dropout %v of the model, which makes ids random", m.Dropout)
	case m.Prefix != "":
		return nil, unsupported("continuing_subword_prefix %q of the model; want none", m.Prefix)
	case m.Suffix != "":
		return nil, unsupported("end_of_word_suffix %q of the model; want none", m.Suffix)
	}
	s := &spec{vocab: m.Vocab, unknown: m.Unknown, fuse: m.Fuse, fallback: m.Fallback, whole: m.IgnoreMerges, begin: begin{id: -1}}
	var err error
	if s.normalizers, err = parseNormalizer(f.Normalizer); err != nil {
		return nil, err
	}
	if s.splitters, err = parsePreTokenizer(f.PreTokenizer); err != nil {
		return nil, err
	}
	for i, x := range s.splitters {
		switch x := x.(type) {
		case byteLevel:
			s.bytes = true
		case metaspace:
			moves := slices.ContainsFunc(s.normalizers, func(n normalizer) bool { return n.moves })
			if x.scheme == "first" && (i > 0 || moves) {
				return nil, unsupported(`pre-tokenizer "Metaspace" with prepend_scheme "first" after one that splits, or a normalizer that adds or removes text at the beginning`)
			}
		}
	}
	if b, ok := s.onlyByteLevel(); ok {
		s.begin.gpt2 = b.regex
	}
	if s.begin.template, err = parsePostProcessor(f.PostProcessor); err != nil {
		return nil, err
	}
	if s.decoder, err = parseDecoder(f.Decoder, s.bytes); err != nil {
		return nil, err
	}
	for _, pair := range m.Merges {
		s.merges = append(s.merges, pair)
	}
	for _, a := range f.AddedTokens {
		if a.Content != "" {
			s.added = append(s.added, a.token(a.ID))
		}
	}
	return s, nil
}

const supportedHint = "only byte-pair encoding is supported, byte-level or with byte fallback, as used by decoders"

func unsupported(format string, args ...any) error {
	return hint.With(fmt.Errorf("not supported: "+format, args...), supportedHint)
}

// unknownKind refuses a component by name and lists the supported kinds.
func unknownKind[V any](what, kind string, table map[string]V) error {
	return unsupported("%s %q; want %s or a Sequence of them", what, kind, strings.Join(slices.Sorted(maps.Keys(table)), ", "))
}
