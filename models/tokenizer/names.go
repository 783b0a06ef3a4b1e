package tokenizer

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
)

// A tokenName is a token in a configuration file: a string, an object with its content, or null.
type tokenName string

func (n *tokenName) UnmarshalJSON(data []byte) error {
	if data[0] == '{' {
		var a addedToken
		err := json.Unmarshal(data, &a)
		*n = tokenName(a.Content)
		return err
	}
	return json.Unmarshal(data, (*string)(n))
}

// namedTokens are the keys that tokenizer_config.json and special_tokens_map.json share.
type namedTokens struct {
	BOS        tokenName   `json:"bos_token"`
	EOS        tokenName   `json:"eos_token"`
	UNK        tokenName   `json:"unk_token"`
	PAD        tokenName   `json:"pad_token"`
	SEP        tokenName   `json:"sep_token"`
	CLS        tokenName   `json:"cls_token"`
	Mask       tokenName   `json:"mask_token"`
	Additional []tokenName `json:"additional_special_tokens"`
}

func (n namedTokens) all() []tokenName {
	return append([]tokenName{n.BOS, n.EOS, n.UNK, n.PAD, n.SEP, n.CLS, n.Mask}, n.Additional...)
}

// readNames adds to s what the files beside the vocabulary know: added and special tokens, the prefix space, and which token
// begins a text. Each file may be missing.
func readNames(fsys fs.FS, s *spec) error {
	var plain map[string]int64
	if err := readJSON(fsys, "added_tokens.json", &plain); err != nil {
		return err
	}
	for text, id := range plain {
		s.add(added{text: text, id: id})
	}

	var config struct {
		namedTokens
		AddPrefixSpace *bool                 `json:"add_prefix_space"`
		Added          map[string]addedToken `json:"added_tokens_decoder"` // by id
	}
	if err := readJSON(fsys, "tokenizer_config.json", &config); err != nil {
		return err
	}
	for key, a := range config.Added {
		id, err := strconv.ParseInt(key, 10, 64)
		if err != nil {
			return fmt.Errorf("tokenizer_config.json: added_tokens_decoder: want an id, got %q", key)
		}
		if err := a.check(); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
		s.add(added{a.Content, id, a.Special})
	}
	if config.AddPrefixSpace != nil {
		s.prefix = *config.AddPrefixSpace
	}

	var special namedTokens
	if err := readJSON(fsys, "special_tokens_map.json", &special); err != nil {
		return err
	}
	for _, name := range append(append(config.all(), special.all()...), endOfText) {
		s.markSpecial(string(name))
	}

	for _, name := range []tokenName{config.BOS, special.BOS} {
		if name != "" {
			s.bos = append(s.bos, string(name))
		}
	}
	var model struct {
		BOS any `json:"bos_token_id"` // in some families a list
	}
	if err := readJSON(fsys, "config.json", &model); err != nil {
		return err
	}
	if id, ok := model.BOS.(float64); ok && id == float64(int64(id)) {
		s.bosID = int64(id)
	}
	return nil
}

// add lists a token once; a second mention can only make it special.
func (s *spec) add(a added) {
	for i := range s.added {
		if s.added[i].text == a.text && s.added[i].id == a.id {
			s.added[i].special = s.added[i].special || a.special
			return
		}
	}
	s.added = append(s.added, a)
}

// markSpecial makes a token that exists special. A name without a token means nothing to a model.
func (s *spec) markSpecial(name string) {
	for i := range s.added {
		if s.added[i].text == name {
			s.added[i].special = true
			return
		}
	}
	if id, ok := s.vocab[name]; ok && name != "" {
		s.added = append(s.added, added{name, id, true})
	}
}

// readJSON reads a file into v, which keeps its value if there is no such file.
func readJSON(fsys fs.FS, name string, v any) error {
	data, ok, err := read(fsys, name)
	if err != nil || !ok {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
