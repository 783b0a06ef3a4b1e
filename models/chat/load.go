package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
)

// maxFile limits the bytes read into memory: the configuration of a tokenizer lists its added tokens.
const maxFile = 16 << 20

// Load reads the chat template of a folder of tokenizer files: chat_template.jinja, else chat_template in
// tokenizer_config.json, else chat_template.json. Of several named templates it takes "default". The special tokens are those of
// tokenizer_config.json and special_tokens_map.json.
func Load(fsys fs.FS) (*Template, error) {
	var config, tokenMap map[string]json.RawMessage
	var old struct {
		Template json.RawMessage `json:"chat_template"`
	}
	for name, into := range map[string]any{"tokenizer_config.json": &config, "special_tokens_map.json": &tokenMap, "chat_template.json": &old} {
		data, err := sidefile.Read(fsys, name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	tokens := map[string]string{}
	for _, files := range []map[string]json.RawMessage{tokenMap, config} {
		for name, raw := range files {
			if token, ok := tokenOf(raw); ok && isToken(name) {
				tokens[name] = token
			}
		}
	}
	data, err := sidefile.Read(fsys, "chat_template.jinja", maxFile)
	switch {
	case err == nil:
		return Parse(string(data), tokens)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, raw := range []json.RawMessage{config["chat_template"], old.Template} {
		source, found, err := sourceOf(raw)
		if err != nil {
			return nil, err
		}
		if found {
			return Parse(source, tokens)
		}
	}
	return nil, hint.With(errors.New("the folder has no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json"),
		"use a model that was trained on conversations, or leave out --chat")
}

// isToken reports whether a key of a configuration names a special token.
func isToken(key string) bool {
	switch key {
	case "bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token":
		return true
	}
	return false
}

// tokenOf reads "<s>" or {"content": "<s>", …}.
func tokenOf(raw json.RawMessage) (string, bool) {
	var object struct{ Content *string }
	var text *string
	switch {
	case json.Unmarshal(raw, &text) == nil && text != nil:
		return *text, true
	case json.Unmarshal(raw, &object) == nil && object.Content != nil:
		return *object.Content, true
	}
	return "", false
}

// sourceOf reads a template, or the one called "default" in a list.
func sourceOf(raw json.RawMessage) (source string, found bool, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", false, nil
	}
	if json.Unmarshal(raw, &source) == nil {
		return source, true, nil
	}
	var list []struct{ Name, Template string }
	if json.Unmarshal(raw, &list) != nil {
		return "", false, errors.New("chat_template: want a text, or a list of objects with name and template")
	}
	for _, x := range list {
		if x.Name == "default" {
			return x.Template, true, nil
		}
	}
	return "", false, errors.New("chat_template: none of the templates is called \"default\"")
}
