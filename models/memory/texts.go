package memory

import (
	"errors"
	"fmt"

	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// Texts holds the choices by which texts become tokens. The paper's code makes them, but the paper does not state them.
type Texts struct {
	PromptBOS   bool `json:"prompt_bos"`   // put the beginning-of-text token before prompts
	MemoryBOS   bool `json:"memory_bos"`   // … and before memories; the layer encoding always uses it
	MemorySpace bool `json:"memory_space"` // put a space before a memory
	AnswerSpace bool `json:"answer_space"` // score an answer by the first token of " " + answer, not of the answer itself
}

// PaperTexts holds the choices of the paper's code.
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

// LayerMemory returns the tokens that the layer encoding runs: the beginning-of-text token, followed by the memory.
func (x Texts) LayerMemory(t *tokenizer.Tokenizer, text string) ([]int64, error) {
	ids := t.Encode(x.spaced(text))
	if len(ids) == 0 {
		return nil, errors.New("the memory is empty")
	}
	return withBOS(t, true, ids), nil
}

// Answer returns the token by which an answer is scored.
func (x Texts) Answer(t *tokenizer.Tokenizer, text string) (int64, error) {
	ids, err := x.AnswerTokens(t, text)
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// AnswerTokens returns all tokens of an answer, at least one.
func (x Texts) AnswerTokens(t *tokenizer.Tokenizer, text string) ([]int64, error) {
	if text == "" {
		return nil, errors.New("the answer is empty")
	}
	if x.AnswerSpace {
		text = " " + text
	}
	ids := t.EncodeMid(text) // it follows the prompt: a tokenizer that adds a leading space must not do so here
	if len(ids) == 0 {
		return nil, fmt.Errorf("the answer %q gives no token", text)
	}
	return ids, nil
}

func (x Texts) spaced(text string) string {
	if x.MemorySpace && text != "" {
		return " " + text
	}
	return text
}

// withBOS prepends the beginning-of-text token, if wanted and if the tokenizer has one.
func withBOS(t *tokenizer.Tokenizer, wanted bool, ids []int64) []int64 {
	if bos, ok := t.BOS(); ok && wanted {
		return append([]int64{bos}, ids...)
	}
	return ids
}
