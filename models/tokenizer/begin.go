package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// BOS returns the id of the token that begins a text, and whether there is one. It tries these sources in order, and the first
// that gives an answer decides:
//
//  1. the post-processor in tokenizer.json, if it puts a token before every text (Llama, Mistral, Gemma),
//  2. bos_token in tokenizer_config.json; null there means that there is none (Qwen),
//  3. bos_token in special_tokens_map.json,
//  4. bos_token_id in config.json,
//  5. <|endoftext|>, if the text is split like GPT-2's and the vocabulary has that token.
//
// A name that is not in the vocabulary does not count. Whether a model was trained with this token is another question: GPT-2
// was not, and experiments use it nevertheless.
func (t *Tokenizer) BOS() (int64, bool) { return max(t.bos, 0), t.bos >= 0 }

// EOS returns the ids that end a text. A model that generates one of them is finished. They are eos_token_id of
// generation_config.json, else of config.json, else eos_token of tokenizer_config.json.
func (t *Tokenizer) EOS() []int64 { return append([]int64(nil), t.eos...) }

// begin holds what the files declare about the token that begins a text.
type begin struct {
	template string   // the token that the post-processor puts first, "" for none
	names    []string // best first
	none     bool     // explicitly none
	id       int64    // -1 if not known
	gpt2     bool     // the text is split like GPT-2's
}

// token decides. lookup returns the id of a token name, or -1 for none, and known reports whether an id has a token.
func (b begin) token(lookup func(string) int64, known func(int64) bool) int64 {
	for _, name := range append([]string{b.template}, b.names...) {
		if id := lookup(name); name != "" && id >= 0 {
			return id
		}
	}
	switch {
	case b.none:
		return -1
	case known(b.id):
		return b.id
	case b.gpt2:
		return lookup(endOfText)
	}
	return -1
}

// postProcessors lists the functions that read, by kind, which token a post-processor of tokenizer.json puts before a text.
var postProcessors = map[string]func(json.RawMessage) (string, error){
	"ByteLevel":          func(json.RawMessage) (string, error) { return "", nil }, // it only changes offsets
	"TemplateProcessing": templateBegin,
	"RobertaProcessing":  classBegin,
	"BertProcessing":     classBegin,
}

// templateBegin reads [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}].
func templateBegin(raw json.RawMessage) (string, error) {
	var c struct {
		Single []struct {
			SpecialToken *struct {
				ID string `json:"id"`
			}
			Sequence *struct{}
		} `json:"single"`
		Tokens map[string]struct {
			Tokens []string `json:"tokens"`
		} `json:"special_tokens"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", err
	}
	if len(c.Single) == 0 || c.Single[0].SpecialToken == nil {
		return "", nil
	}
	id := c.Single[0].SpecialToken.ID
	if t := c.Tokens[id].Tokens; len(t) > 0 {
		id = t[0]
	}
	return id, nil
}

// classBegin reads {"cls": ["<s>", 0]}.
func classBegin(raw json.RawMessage) (string, error) {
	var c struct {
		Class []any `json:"cls"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", err
	}
	if len(c.Class) != 2 {
		return "", errors.New("want cls with a token and its id")
	}
	name, _ := c.Class[0].(string)
	return name, nil
}

// parsePostProcessor returns the token that the post-processor of tokenizer.json puts before a text, or "" for none.
func parsePostProcessor(raw json.RawMessage) (string, error) {
	steps, err := flatten(raw, "post-processor", "processors")
	if err != nil {
		return "", err
	}
	first := ""
	for _, s := range steps {
		read, ok := postProcessors[s.kind]
		if !ok {
			return "", unknownKind("post-processor", s.kind, postProcessors)
		}
		name, err := read(s.raw)
		if err != nil {
			return "", fmt.Errorf("post-processor %q: %w", s.kind, err)
		}
		if name != "" {
			first = name // a later one puts its token before that of an earlier one
		}
	}
	return first, nil
}

// An idList is an id or a list of ids in a configuration file. Any other value counts as absent.
type idList []int64

func (l *idList) UnmarshalJSON(data []byte) error {
	var many []json.Number
	if data[0] != '[' {
		data = append(append([]byte("["), data...), ']')
	}
	if json.NewDecoder(bytes.NewReader(data)).Decode(&many) != nil {
		return nil
	}
	for _, n := range many {
		if id, err := n.Int64(); err == nil {
			*l = append(*l, id)
		}
	}
	return nil
}
