package tokenizer

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
)

// A tokenName is a token in a configuration file: a string, an object with its content, or null.
type tokenName struct {
	text string
	null bool // explicitly null
}

func (n *tokenName) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case 'n':
		n.null = true
		return nil
	case '{':
		var a addedToken
		err := json.Unmarshal(data, &a)
		n.text = a.Content
		return err
	}
	return json.Unmarshal(data, &n.text)
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

// readNames adds to s the information in the other files: added and special tokens, the prefix space, and the tokens that
// begin and end a text. Each file may be missing.
func readNames(fsys fs.FS, s *spec) error {
	named := len(s.added) > 0 // the vocabulary's file gives the special tokens
	var plain map[string]int64
	if err := readJSON(fsys, "added_tokens.json", &plain); err != nil {
		return err
	}
	for text, id := range plain {
		s.add(addedToken{Content: text}.token(id))
	}

	var config struct {
		namedTokens
		AddPrefixSpace *bool                 `json:"add_prefix_space"`
		Added          map[string]addedToken `json:"added_tokens_decoder"` // keyed by id
	}
	if err := readJSON(fsys, "tokenizer_config.json", &config); err != nil {
		return err
	}
	for key, a := range config.Added {
		id, err := strconv.ParseInt(key, 10, 64)
		if err != nil {
			return fmt.Errorf("tokenizer_config.json: added_tokens_decoder: want an id, got %q", key)
		}
		s.add(a.token(id))
	}
	if b, ok := s.onlyByteLevel(); ok && config.AddPrefixSpace != nil {
		b.prefix = *config.AddPrefixSpace
		s.splitters[0] = b
	}

	var special namedTokens
	if err := readJSON(fsys, "special_tokens_map.json", &special); err != nil {
		return err
	}
	for _, name := range append(config.all(), special.all()...) {
		s.markSpecial(name.text)
	}
	if !named {
		s.markSpecial(endOfText)
	}

	s.begin.none = config.BOS.null
	for _, name := range []tokenName{config.BOS, special.BOS} {
		if name.text != "" && !config.BOS.null {
			s.begin.names = append(s.begin.names, name.text)
		}
	}
	s.eosName = config.EOS.text
	return readIDs(fsys, s)
}

// readIDs reads the ids that begin and end a text from the model's configurations.
func readIDs(fsys fs.FS, s *spec) error {
	type ids struct {
		BOS idList `json:"bos_token_id"`
		EOS idList `json:"eos_token_id"`
	}
	var model, generation ids
	var genai struct {
		Model ids `json:"model"`
	}
	for name, into := range map[string]any{"config.json": &model, "generation_config.json": &generation, "genai_config.json": &genai} {
		if err := readJSON(fsys, name, into); err != nil {
			return err
		}
	}
	if len(model.BOS) == 1 {
		s.begin.id = model.BOS[0]
	}
	for _, list := range []idList{generation.EOS, genai.Model.EOS, model.EOS} {
		if len(s.eos) == 0 {
			s.eos = list
		}
	}
	return nil
}

// onlyByteLevel returns the splitter of a tokenizer that has only GPT-2's.
func (s *spec) onlyByteLevel() (byteLevel, bool) {
	if len(s.splitters) != 1 {
		return byteLevel{}, false
	}
	b, ok := s.splitters[0].(byteLevel)
	return b, ok
}

// add adds a token to the list once. A second mention can only make it special.
func (s *spec) add(a added) {
	for i := range s.added {
		if s.added[i].text == a.text && s.added[i].id == a.id {
			s.added[i].special = s.added[i].special || a.special
			return
		}
	}
	s.added = append(s.added, a)
}

// markSpecial makes an existing token special. A name without a token has no meaning for a model.
func (s *spec) markSpecial(name string) {
	for i := range s.added {
		if s.added[i].text == name {
			s.added[i].special = true
			return
		}
	}
	if id, ok := s.vocab[name]; ok && name != "" {
		s.added = append(s.added, added{text: name, id: id, special: true})
	}
}

// readJSON reads a file into v. If there is no such file, v is unchanged.
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
