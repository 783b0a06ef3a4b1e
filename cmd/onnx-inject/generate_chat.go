package main

import (
	"errors"

	"github.com/onnx-inject/onnx-inject/models/chat"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// chatPrompt writes a text as the message of a user and returns its tokens. The template writes every special token itself.
func chatPrompt(o *opened, t *tokenizer.Tokenizer, text string) ([]int64, error) {
	template, err := o.Folder.Chat()
	if err != nil {
		return nil, err
	}
	rendered, err := template.Render([]chat.Message{{Role: "user", Content: text}}, true)
	if err != nil {
		return nil, err
	}
	ids := t.Encode(rendered)
	if len(ids) == 0 {
		return nil, errors.New("the chat template gives no tokens")
	}
	return ids, nil
}
