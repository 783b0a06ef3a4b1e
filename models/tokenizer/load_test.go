package tokenizer

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

func TestBothFormatsAgree(t *testing.T) {
	merges := [][2]string{{"h", "e"}, {"l", "l"}, {"Ġ", "he"}, {"he", "ll"}}
	vocab := tiny(merges...)
	end := vocab[endOfText]
	name := func(fsys fstest.MapFS, name string, v any) fstest.MapFS {
		fsys = maps.Clone(fsys)
		fsys[name] = &fstest.MapFile{Data: mustJSON(v)}
		return fsys
	}
	for _, form := range []struct {
		name string
		fs   fstest.MapFS
	}{
		{"tables", tables(vocab, merges)},
		{"document, spaced", document(vocab, spaced(merges), nil)},
		{"document, paired", document(vocab, merges, nil)},
		{"document without type and added tokens, as in old files", document(vocab, spaced(merges), func(doc object) {
			delete(doc["model"].(object), "type")
			delete(doc, "added_tokens")
		})},
		{"document with use_regex", document(vocab, merges, func(doc object) { doc["pre_tokenizer"].(object)["use_regex"] = true })},
	} {
		for _, c := range []struct {
			name     string
			fs       fstest.MapFS
			text     string
			want     []int64
			ordinary bool
		}{
			{"plain", form.fs, "hell he", []int64{vocab["hell"], vocab["Ġhe"]}, false},
			{"special", form.fs, "he<|endoftext|>he", []int64{vocab["he"], end, vocab["he"]}, false},
			{"special as text", form.fs, "<|", []int64{vocab["<"], vocab["|"]}, true},
			{"prefix space", name(form.fs, "tokenizer_config.json", object{"add_prefix_space": true}), "he<|endoftext|>he he", []int64{vocab["Ġhe"], end, vocab["Ġhe"], vocab["Ġhe"]}, false},
			{"prefix space and none", name(form.fs, "tokenizer_config.json", object{"add_prefix_space": true}), "", nil, false},
			{"added", name(form.fs, "added_tokens.json", object{"hehe": end + 1}), "he hehehe", []int64{vocab["he"], vocab["Ġ"], end + 1, vocab["he"]}, false},
			{"added is not special", name(form.fs, "added_tokens.json", object{"hehe": end + 1}), "hehe", []int64{end + 1}, true},
			{"added and named special", name(name(form.fs, "added_tokens.json", object{"hehe": end + 1}), "special_tokens_map.json", object{"additional_special_tokens": []any{object{"content": "hehe"}}}), "hehe", []int64{vocab["he"], vocab["he"]}, true},
			{"added by id", name(form.fs, "tokenizer_config.json", object{"added_tokens_decoder": object{"900": object{"content": "hé he", "special": false}}}), "hé hehe", []int64{900, vocab["he"]}, false},
			{"a vocabulary word named special", name(form.fs, "tokenizer_config.json", object{"pad_token": "he"}), "hell", []int64{vocab["he"], vocab["ll"]}, false},
		} {
			tok, err := LoadFS(c.fs)
			if err != nil {
				t.Errorf("%s: %s: %v", form.name, c.name, err)
				continue
			}
			encode := tok.Encode
			if c.ordinary {
				encode = tok.EncodeOrdinary
			}
			if diff := cmp.Diff(c.want, encode(c.text), equateEmpty); diff != "" {
				t.Errorf("%s: %s: %q (-want +got):\n%s", form.name, c.name, c.text, diff)
			}
		}
	}
}

func TestLongestAddedTokenWins(t *testing.T) {
	vocab := tiny()
	end := vocab[endOfText]
	fsys := tables(vocab, nil)
	fsys["added_tokens.json"] = &fstest.MapFile{Data: mustJSON(object{"xy": end + 1, "xyz": end + 2, "yzzz": end + 3})}
	tok := mustLoad(t, fsys)
	for text, want := range map[string][]int64{
		"xyz":   {end + 2},
		"xyzzz": {end + 2, vocab["z"], vocab["z"]}, // leftmost before longest
		"xyyzzz": {
			end + 1,
			end + 3,
		},
	} {
		if diff := cmp.Diff(want, tok.Encode(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	if got := tok.Decode([]int64{end + 2, end + 1}); got != "xyzxy" {
		t.Errorf("Decode = %q, want %q", got, "xyzxy")
	}
}

func TestTokenizerJSONIsPreferred(t *testing.T) {
	vocab := tiny([2]string{"h", "e"})
	fsys := document(vocab, []string{"h e"}, nil)
	maps.Copy(fsys, tables(tiny(), nil))
	if got := mustLoad(t, fsys).Encode("he"); len(got) != 1 {
		t.Errorf("Encode(%q) = %v, want the one token of tokenizer.json", "he", got)
	}
	fsys["tokenizer.json"] = &fstest.MapFile{Data: []byte(`{"model":{"type":"WordPiece","vocab":{}}}`)}
	if _, err := LoadFS(fsys); err == nil {
		t.Error("an unsupported tokenizer.json was silently ignored")
	}
}

func TestBOS(t *testing.T) {
	vocab := tiny([2]string{"h", "e"})
	end := vocab[endOfText]
	bare := tiny()
	delete(bare, endOfText)
	for _, c := range []struct {
		name  string
		vocab map[string]int64
		files map[string]string
		want  int64
		ok    bool
	}{
		{"default", vocab, nil, end, true},
		{"none", bare, nil, 0, false},
		{"tokenizer_config", vocab, map[string]string{"tokenizer_config.json": `{"bos_token":"he"}`}, vocab["he"], true},
		{"tokenizer_config, object", vocab, map[string]string{"tokenizer_config.json": `{"bos_token":{"__type":"AddedToken","content":"he"}}`}, vocab["he"], true},
		{"tokenizer_config, null", vocab, map[string]string{"tokenizer_config.json": `{"bos_token":null}`, "config.json": `{"bos_token_id":3}`}, 0, false},
		{"tokenizer_config, silent", vocab, map[string]string{"tokenizer_config.json": `{"eos_token":"he"}`}, end, true},
		{"special_tokens_map", vocab, map[string]string{"special_tokens_map.json": `{"bos_token":"he"}`}, vocab["he"], true},
		{"tokenizer_config first", vocab, map[string]string{"tokenizer_config.json": `{"bos_token":"he"}`, "special_tokens_map.json": `{"bos_token":"!"}`}, vocab["he"], true},
		{"config", bare, map[string]string{"config.json": `{"bos_token_id":3}`}, 3, true},
		{"config of another vocabulary", bare, map[string]string{"config.json": `{"bos_token_id":50256}`}, 0, false},
		{"config, a list", vocab, map[string]string{"config.json": `{"bos_token_id":[1,2]}`}, end, true},
		{"config, null", vocab, map[string]string{"config.json": `{"bos_token_id":null}`}, end, true},
		{"a name without a token", vocab, map[string]string{"tokenizer_config.json": `{"bos_token":"<s>"}`}, end, true},
		{"a name before an id", vocab, map[string]string{"special_tokens_map.json": `{"bos_token":"he"}`, "config.json": `{"bos_token_id":3}`}, vocab["he"], true},
	} {
		merges := [][2]string{{"h", "e"}}
		if _, ok := c.vocab["he"]; !ok {
			merges = nil
		}
		fsys := tables(c.vocab, merges)
		for name, text := range c.files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, ok := mustLoad(t, fsys).BOS(); got != c.want || ok != c.ok {
			t.Errorf("%s: BOS() = %d, %v, want %d, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestRefused(t *testing.T) {
	vocab := tiny([2]string{"h", "e"})
	merges := []string{"h e"}
	with := func(fsys fstest.MapFS, name, text string) fstest.MapFS {
		fsys = maps.Clone(fsys)
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
		return fsys
	}
	model := func(key string, value any) fstest.MapFS {
		return document(vocab, merges, func(doc object) { doc["model"].(object)[key] = value })
	}
	doc := func(key string, value any) fstest.MapFS {
		return document(vocab, merges, func(doc object) { doc[key] = value })
	}
	lacking := tiny()
	delete(lacking, "Ġ")
	good := tables(vocab, [][2]string{{"h", "e"}})
	for _, c := range []struct {
		name string
		fs   fstest.MapFS
		want string // part of the error
		hint bool
	}{
		{"nothing", fstest.MapFS{}, "neither tokenizer.json nor vocab.json with merges.txt", true},
		{"no merges", fstest.MapFS{"vocab.json": good["vocab.json"]}, "vocab.json without merges.txt", true},
		{"no vocabulary", fstest.MapFS{"merges.txt": good["merges.txt"]}, "merges.txt without vocab.json", true},
		{"WordPiece", model("type", "WordPiece"), `model type "WordPiece"`, true},
		{"Unigram, whose vocab is a list", fstest.MapFS{"tokenizer.json": {Data: []byte(`{"model":{"type":"Unigram","vocab":[["a",1]]}}`)}}, `model type "Unigram"`, true},
		{"normalizer", doc("normalizer", object{"type": "Nmt"}), `normalizer "Nmt"; want Lowercase, NFC,`, true},
		{"pre-tokenizer", doc("pre_tokenizer", object{"type": "BertPreTokenizer"}), `pre-tokenizer "BertPreTokenizer"; want ByteLevel, Digits,`, true},
		{"pre-tokenizer in a sequence", doc("pre_tokenizer", object{"type": "Sequence", "pretokenizers": []any{object{"type": "Whispers"}}}), `pre-tokenizer "Whispers"`, true},
		{"sequences without end", doc("pre_tokenizer", nested(20)), "sequences within sequences", true},
		{"a pre-tokenizer of no type", doc("pre_tokenizer", object{"pattern": "x"}), "pre-tokenizer: want an object with a type", false},
		{"post-processor", doc("post_processor", object{"type": "Wrap"}), `post-processor "Wrap"`, true},
		{"decoder", doc("decoder", object{"type": "CTC"}), `decoder "CTC"`, true},
		{"a pattern", doc("pre_tokenizer", object{"type": "Split", "behavior": "Isolated", "pattern": object{"Regex": `(a)\1`}}), `pre-tokenizer "Split": pattern "(a)\\1": \1 is not supported`, true},
		{"a pattern that matches nothing", doc("normalizer", object{"type": "Replace", "content": "x", "pattern": object{"Regex": `a*`}}), `normalizer "Replace": pattern "a*": it can match the empty string`, true},
		{"an empty pattern", doc("normalizer", object{"type": "Replace", "content": "x", "pattern": object{"String": ""}}), "not empty", true},
		{"a behavior", doc("pre_tokenizer", object{"type": "Split", "behavior": "Doubled", "pattern": object{"String": "x"}}), `got "Doubled"`, true},
		{"growth", doc("normalizer", object{"type": "Sequence", "normalizers": slices.Repeat([]any{object{"type": "Replace", "content": "xxxxxxxx", "pattern": object{"String": "x"}}}, 4)}), "1024 times longer", false},
		{"too many steps", doc("normalizer", object{"type": "Sequence", "normalizers": slices.Repeat([]any{object{"type": "NFC"}}, 33)}), "more than 32 steps of the normalizer", true},
		{"what is first", document(vocab, merges, func(doc object) {
			doc["normalizer"] = object{"type": "Strip", "strip_left": true, "strip_right": false}
			doc["pre_tokenizer"] = object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}
		}), `prepend_scheme "first" after one that splits`, true},
		{"ByteLevel twice", doc("pre_tokenizer", object{"type": "Sequence", "pretokenizers": slices.Repeat([]any{object{"type": "ByteLevel"}}, 2)}), `"ByteLevel" twice`, true},
		{"an unknown token that is unknown", model("unk_token", "<unk>"), `unk_token "<unk>" is not in the vocabulary`, true},
		{"tables of another tokenizer", with(good, "tokenizer_config.json", `{"tokenizer_class":"Qwen2TokenizerFast"}`), "vocab.json and merges.txt of a Qwen2TokenizerFast", true},
		{"dropout", model("dropout", 0.1), "dropout 0.1", true},
		{"prefix", model("continuing_subword_prefix", "##"), `continuing_subword_prefix "##"`, true},
		{"suffix", model("end_of_word_suffix", "</w>"), `end_of_word_suffix "</w>"`, true},
		{"no model", fstest.MapFS{"tokenizer.json": {Data: []byte(`{}`)}}, "tokenizer.json: no model", false},
		{"no JSON", fstest.MapFS{"tokenizer.json": {Data: []byte(`version https`)}}, "tokenizer.json: invalid character", false},
		{"cut off", fstest.MapFS{"tokenizer.json": {Data: document(vocab, merges, nil)["tokenizer.json"].Data[:400]}}, "tokenizer.json: unexpected end", false},
		{"merges of one", model("merges", []string{"he"}), `want a merge of two tokens, got "he"`, false},
		{"merges of nothing and one", model("merges", []string{" e"}), `want a merge of two tokens, got " e"`, false},
		{"merges of three", model("merges", [][]string{{"h", "e", "y"}}), `want a merge of two tokens`, false},
		{"merges.txt of three", with(good, "merges.txt", "#version: 0.2\nh e\nh e y\n"), `merges.txt: line 3: want a merge of two tokens, got "h e y"`, false},
		{"an unknown merge", with(good, "merges.txt", "h e\nh i\n"), `merge 1, "h" with "i": "hi" is not in the vocabulary`, true},
		{"a byte is missing", tables(lacking, nil), `no token for byte 0x20, written 'Ġ'`, true},
		{"characters instead of bytes", tables(map[string]int64{"▁the": 0, "a": 1}, nil), "no token for byte", true},
		{"negative id", with(good, "added_tokens.json", `{"x y":-1}`), `token "x y": id -1`, true},
		{"a huge id", with(good, "added_tokens.json", `{"x y":999999999999}`), `token "x y": id 999999999999`, true},
		{"a fraction", with(good, "vocab.json", `{"a":1.5}`), "vocab.json: json", false},
		{"shared id", with(good, "added_tokens.json", `{"x y":5}`), "share id 5", true},
		{"two ids", with(good, "added_tokens.json", `{"he":999}`), `added token "he": id 999, but 256 in the vocabulary`, true},
		{"two added ids", with(with(good, "added_tokens.json", `{"x y":999}`), "tokenizer_config.json", `{"added_tokens_decoder":{"998":{"content":"x y"}}}`), `added token "x y": id 998, but 999`, true},
		{"added under the spelling of a space", with(good, "tokenizer_config.json", `{"pad_token":"Ġ"}`), `added token "Ġ": this is the vocabulary's spelling of " "`, true},
		{"a long added token", with(good, "added_tokens.json", `{"`+strings.Repeat("x", 300)+`":999}`), "want at most 256 bytes, got 300", true},
		{"no id", with(good, "tokenizer_config.json", `{"added_tokens_decoder":{"x":{"content":"x y"}}}`), `want an id, got "x"`, false},
		{"bad configuration", with(good, "config.json", `[`), "config.json: unexpected end", false},
	} {
		_, err := LoadFS(c.fs)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "load tokenizer: ") {
			t.Errorf("%s: error %q, want %q in it", c.name, err, c.want)
		}
		if advice := hint.Of(err); (advice != "") != c.hint {
			t.Errorf("%s: hint %q, want one: %v", c.name, advice, c.hint)
		}
	}
}

// nested returns n nested sequences.
func nested(n int) object {
	if n == 0 {
		return object{"type": "Digits"}
	}
	return object{"type": "Sequence", "pretokenizers": []any{nested(n - 1)}}
}

// The vocabulary of SmolLM2 has no token for some control characters and for bytes that occur in no text. They give no ids.
func TestBytesThatTextHardlyHas(t *testing.T) {
	vocab := tiny()
	for _, b := range []byte{0x04, 0xc0, 0xff} {
		delete(vocab, string(symbols[b]))
	}
	tok, err := LoadFS(tables(vocab, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("a\x04b"), []int64{vocab["a"], vocab["b"]}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLoadFolder(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	if err == nil || !strings.Contains(err.Error(), dir) || hint.Of(err) == "" {
		t.Errorf("an empty folder: error %v with hint %q, want the folder's name and a hint", err, hint.Of(err))
	}
	if _, err := Load(filepath.Join(dir, "absent")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("no folder: error %v, want its name", err)
	}
	for name, f := range tables(tiny([2]string{"h", "e"}), [][2]string{{"h", "e"}}) {
		if name == "merges.txt" { // as in a checkout on Windows
			f.Data = []byte(strings.ReplaceAll(string(f.Data), "\n", "\r\n"))
		}
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("he"); len(got) != 1 {
		t.Errorf("Encode(%q) = %v, want one token", "he", got)
	}
	if _, err := Load(filepath.Join(dir, "vocab.json")); err == nil {
		t.Error("a file was accepted as a folder")
	}
}

func FuzzTokenizerJSON(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add(document(tiny([2]string{"h", "e"}), []string{"h e"}, nil)["tokenizer.json"].Data)
	f.Add(document(tiny(), [][2]string{}, func(doc object) { doc["pre_tokenizer"].(object)["add_prefix_space"] = true })["tokenizer.json"].Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := LoadFS(fstest.MapFS{"tokenizer.json": {Data: data}})
		if err != nil {
			return
		}
		const s = "he<|endoftext|> hello\xff 日本  \n1234's"
		for _, id := range append(tok.EncodeOrdinary(s), tok.Encode(s)...) {
			if id < 0 || id >= int64(tok.Size()) {
				t.Errorf("id %d of a tokenizer with %d", id, tok.Size())
			}
		}
	})
}
