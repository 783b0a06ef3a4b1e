package memory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

func TestE10Texts(t *testing.T) {
	tok, err := tokenizer.LoadFS(demo.Files())
	if err != nil {
		t.Fatal(err)
	}
	bos, _ := tok.BOS()
	plain, spaced := tok.Encode("Peru"), tok.Encode(" Peru")
	begun := func(ids []int64) []int64 { return append([]int64{bos}, ids...) }
	all := memory.Texts{PromptBOS: true, MemoryBOS: true, MemorySpace: true, AnswerSpace: true}
	tests := []struct {
		name                  string
		x                     memory.Texts
		prompt, memory, layer []int64
		answer                int64
	}{
		{"the paper's", memory.PaperTexts, begun(plain), plain, begun(plain), spaced[0]},
		{"none", memory.Texts{}, plain, plain, begun(plain), plain[0]},
		{"all", all, begun(plain), begun(spaced), begun(spaced), spaced[0]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			prompt, err1 := tt.x.Prompt(tok, "Peru")
			memory, err2 := tt.x.Memory(tok, "Peru")
			layer, err3 := tt.x.LayerMemory(tok, "Peru")
			answer, err4 := tt.x.Answer(tok, "Peru")
			got := []any{prompt, memory, layer, answer, err1, err2, err3, err4}
			if diff := cmp.Diff([]any{tt.prompt, tt.memory, tt.layer, tt.answer, nil, nil, nil, nil}, got); diff != "" {
				t.Error(diff)
			}
			if _, err := tt.x.Memory(tok, ""); err == nil {
				t.Error("an empty memory was accepted")
			}
			if _, err := tt.x.Answer(tok, ""); err == nil {
				t.Error("an empty answer was accepted")
			}
		})
	}
}
