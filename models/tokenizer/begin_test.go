package tokenizer

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// Each case is the token that begins a text in one family, with values from the family's files.
func TestBOSOfFamilies(t *testing.T) {
	vocab := tiny()
	end := vocab[endOfText]
	vocab["<s>"], vocab["</s>"] = end+1, end+2
	begin := object{"type": "TemplateProcessing", "single": []any{object{"SpecialToken": object{"id": "<s>", "type_id": 0}}, object{"Sequence": object{"id": "A", "type_id": 0}}},
		"special_tokens": object{"<s>": object{"id": "<s>", "ids": []int{1}, "tokens": []string{"<s>"}}}}
	ending := object{"type": "TemplateProcessing", "single": []any{object{"Sequence": object{"id": "A", "type_id": 0}}, object{"SpecialToken": object{"id": "</s>", "type_id": 0}}}}
	offsets := object{"type": "ByteLevel", "trim_offsets": false}
	splits := object{"type": "Sequence", "pretokenizers": []any{
		object{"type": "Split", "behavior": "Isolated", "pattern": object{"Regex": `\p{L}+`}}, object{"type": "ByteLevel", "use_regex": false},
	}}
	for _, c := range []struct {
		name  string
		post  object
		pre   object
		files map[string]string
		want  int64
	}{
		{"Llama 3: a template in a sequence", object{"type": "Sequence", "processors": []any{offsets, begin}}, splits, nil, end + 1},
		{"Llama 3, no template", offsets, splits, map[string]string{"tokenizer_config.json": `{"bos_token":"<s>"}`}, end + 1},
		{"Gemma: a template", begin, splits, map[string]string{"tokenizer_config.json": `{"bos_token":"<s>","add_bos_token":true}`}, end + 1},
		{"a template before a name", begin, splits, map[string]string{"tokenizer_config.json": `{"bos_token":"</s>"}`}, end + 1},
		{"a template that only ends", ending, splits, nil, -1},
		{"Qwen: null", offsets, splits, map[string]string{"tokenizer_config.json": `{"bos_token":null,"add_bos_token":false}`, "config.json": `{"bos_token_id":256}`}, -1},
		{"Qwen, tokenizer.json alone", offsets, splits, nil, -1},
		{"config.json alone", offsets, splits, map[string]string{"config.json": `{"bos_token_id":257}`}, end + 1},
		{"GPT-2, tokenizer.json alone", offsets, object{"type": "ByteLevel"}, nil, end},
		{"GPT-2: add_bos_token is about training", offsets, object{"type": "ByteLevel"}, map[string]string{"tokenizer_config.json": `{"bos_token":"<|endoftext|>","add_bos_token":false}`}, end},
		{"OPT: Roberta's", object{"type": "RobertaProcessing", "cls": []any{"</s>", 2}, "sep": []any{"</s>", 2}}, object{"type": "ByteLevel"}, nil, end + 2},
		{"none at all", nil, splits, nil, -1},
	} {
		fsys := document(vocab, []string{}, func(doc object) {
			doc["pre_tokenizer"] = c.pre
			if doc["post_processor"] = c.post; c.post == nil {
				doc["post_processor"] = nil
			}
		})
		for name, text := range c.files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		tok := mustLoad(t, fsys)
		got, ok := tok.BOS()
		if ok != (c.want >= 0) || ok && got != c.want {
			t.Errorf("%s: BOS() = %d, %v, want %d", c.name, got, ok, c.want)
		}
		if ids := tok.Encode("a"); len(ids) != 1 {
			t.Errorf("%s: Encode adds to a text: %v", c.name, ids)
		}
	}
}

func TestEOS(t *testing.T) {
	vocab := tiny()
	end := vocab[endOfText]
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []int64
	}{
		{"nothing", nil, nil},
		{"tokenizer_config", map[string]string{"tokenizer_config.json": `{"eos_token":"<|endoftext|>"}`}, []int64{end}},
		{"config", map[string]string{"config.json": `{"eos_token_id":7}`, "tokenizer_config.json": `{"eos_token":"<|endoftext|>"}`}, []int64{7}},
		{"generation_config, a list", map[string]string{"config.json": `{"eos_token_id":7}`, "generation_config.json": `{"eos_token_id":[8,9]}`}, []int64{8, 9}},
		{"genai_config", map[string]string{"genai_config.json": `{"model":{"eos_token_id":[8,9]}}`, "config.json": `{"eos_token_id":7}`}, []int64{8, 9}},
		{"null", map[string]string{"generation_config.json": `{"eos_token_id":null}`, "config.json": `{"eos_token_id":7}`}, []int64{7}},
		{"ids without tokens", map[string]string{"config.json": `{"eos_token_id":[7,99999,-1]}`}, []int64{7}},
		{"odd values", map[string]string{"config.json": `{"eos_token_id":"x","bos_token_id":{}}`}, nil},
	} {
		fsys := tables(vocab, nil)
		for name, text := range c.files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		tok := mustLoad(t, fsys)
		if diff := cmp.Diff(c.want, tok.EOS(), equateEmpty); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if tok := mustLoad(t, tables(vocab, nil)); !tok.Special(end) || tok.Special(1) || tok.Special(-1) {
		t.Error("the end of a text is special, a letter is not")
	}
}
