package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// BOS returns the id of the token that begins a text, and whether there is one. The files are asked in this order, and the first
// that knows decides:
//
//  1. the post-processor in tokenizer.json, where it puts a token in front of every text (Llama, Mistral, Gemma),
//  2. bos_token in tokenizer_config.json; null there means that there is none (Qwen),
//  3. bos_token in special_tokens_map.json,
//  4. bos_token_id in config.json,
//  5. <|endoftext|>, where the text is split as GPT-2 splits it and the vocabulary has that token.
//
// A name that the vocabulary lacks does not count. Whether a model was trained with the token in front is another question:
// GPT-2 was not, and experiments put it there all the same.
func (t *Tokenizer) BOS() (int64, bool) { return max(t.bos, 0), t.bos >= 0 }

// EOS returns the ids that end a text; a model that writes one of them is done. They are eos_token_id of generation_config.json,
// or else of config.json, or else eos_token of tokenizer_config.json.
func (t *Tokenizer) EOS() []int64 { return append([]int64(nil), t.eos...) }

// begin is what the files say about the token that begins a text.
type begin struct {
	template string   // what the post-processor puts in front, "" for nothing
	names    []string // best first
	none     bool     // said in so many words
	id       int64    // -1 if not known
	gpt2     bool     // the text is split as GPT-2 splits it
}

// token decides; lookup finds a token by name, -1 for none, and known says whether an id has one.
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

// postProcessors read which token a post-processor of tokenizer.json puts in front of a text, by kind.
var postProcessors = map[string]func(json.RawMessage) (string, error){
	"ByteLevel":          func(json.RawMessage) (string, error) { return "", nil }, // it moves offsets
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

// parsePostProcessor returns the token that the post-processor of tokenizer.json puts in front, "" for none.
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
			first = name // a later one puts its token in front of an earlier one's
		}
	}
	return first, nil
}

// An idList is an id or a list of ids in a configuration file. What is neither is as good as absent.
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
