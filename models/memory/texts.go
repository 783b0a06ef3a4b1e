package memory

import (
	"errors"
	"fmt"

	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// Texts says how texts become tokens: choices of the paper's code that a reader of the paper would not guess.
type Texts struct {
	PromptBOS   bool `json:"prompt_bos"`   // the beginning-of-text token stands before prompts
	MemoryBOS   bool `json:"memory_bos"`   // … and before memories; the layer encoding has it whatever stands here
	MemorySpace bool `json:"memory_space"` // a space stands before a memory
	AnswerSpace bool `json:"answer_space"` // an answer counts by the first token of " " + answer, not of the answer itself
}

// PaperTexts is what the paper's code does.
var PaperTexts = Texts{PromptBOS: true, AnswerSpace: true}

// Prompt returns the tokens of a prompt.
func (x Texts) Prompt(t *tokenizer.Tokenizer, text string) ([]int64, error) {
	ids := withBOS(t, x.PromptBOS, t.Encode(text))
	if len(ids) == 0 {
		return nil, errors.New("the prompt is empty")
	}
	return ids, nil
}

// Memory returns the tokens of a memory's text for the encodings that sum over tokens.
func (x Texts) Memory(t *tokenizer.Tokenizer, text string) ([]int64, error) {
	ids := t.Encode(x.spaced(text))
	if len(ids) == 0 {
		return nil, errors.New("the memory is empty")
	}
	return withBOS(t, x.MemoryBOS, ids), nil
}

// LayerMemory returns the tokens that the layer encoding runs: the beginning-of-text token, then the memory.
func (x Texts) LayerMemory(t *tokenizer.Tokenizer, text string) ([]int64, error) {
	ids := t.Encode(x.spaced(text))
	if len(ids) == 0 {
		return nil, errors.New("the memory is empty")
	}
	return withBOS(t, true, ids), nil
}

// Answer returns the token that an answer counts by.
func (x Texts) Answer(t *tokenizer.Tokenizer, text string) (int64, error) {
	if text == "" {
		return 0, errors.New("the answer is empty")
	}
	if x.AnswerSpace {
		text = " " + text
	}
	ids := t.EncodeMid(text) // it follows the prompt: a tokenizer that puts a space before a text must not do so here
	if len(ids) == 0 {
		return 0, fmt.Errorf("the answer %q gives no token", text)
	}
	return ids[0], nil
}

func (x Texts) spaced(text string) string {
	if x.MemorySpace && text != "" {
		return " " + text
	}
	return text
}

// withBOS puts the beginning-of-text token in front where the tokenizer has one.
func withBOS(t *tokenizer.Tokenizer, wanted bool, ids []int64) []int64 {
	if bos, ok := t.BOS(); ok && wanted {
		return append([]int64{bos}, ids...)
	}
	return ids
}
