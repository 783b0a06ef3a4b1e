package demo

import (
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// decode parses JSON data.
func decode[T any](t *testing.T, data []byte, err error) T {
	t.Helper()
	var v T
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func vocabulary(t *testing.T) map[string]int {
	t.Helper()
	data, err := fs.ReadFile(Files(), "vocab.json")
	return decode[map[string]int](t, data, err)
}

// inside is a word's first token after a space, in the byte-level alphabet.
func inside(s string) string { return "Ġ" + strings.Fields(s)[0] }

func TestPrompts(t *testing.T) {
	vocab := vocabulary(t)
	type key struct{ entity, relation string }
	answers, count, countries := map[key]string{}, map[key]int{}, map[string]bool{}
	for i, p := range Prompts() {
		entity, spaced := strings.CutPrefix(p.ExplicitEntity, " ")
		if !spaced {
			t.Errorf("row %d: the entity %q is not written as in a sentence", i, p.ExplicitEntity)
		}
		if got := strings.Replace(p.ExplicitSentence, entity, p.ObscureEntity, 1); got != p.ObscureSentence {
			t.Errorf("row %d: explicit sentence with the obscure entity is %q, want %q", i, got, p.ObscureSentence)
		}
		if strings.Contains(p.ObscureSentence, entity) || strings.Contains(p.ObscureSentence, p.Answer) {
			t.Errorf("row %d: %q contains %q or %q", i, p.ObscureSentence, p.ExplicitEntity, p.Answer)
		}
		for _, s := range []string{p.ExplicitSentence, p.ObscureSentence} {
			if s != strings.TrimSpace(s) || strings.Contains(s, "  ") || strings.ContainsAny(s, "{}") {
				t.Errorf("row %d: untidy sentence %q", i, s)
			}
		}
		for _, token := range []string{inside(entity), inside(p.Answer)} {
			if _, ok := vocab[token]; !ok {
				t.Errorf("row %d: %q is not one token", i, token)
			}
		}
		k := key{p.ExplicitEntity, p.Relation}
		if a, ok := answers[k]; ok && a != p.Answer {
			t.Errorf("row %d: the %s of %s is %q, was %q", i, p.Relation, p.ExplicitEntity, p.Answer, a)
		}
		answers[k] = p.Answer
		count[k]++
		countries[p.ExplicitEntity] = true
	}
	if len(countries) != 24 || len(count) != 3*24 {
		t.Errorf("got %d countries and %d questions about them, want 24 and 72", len(countries), len(count))
	}
	for k, n := range count {
		if n != 3 {
			t.Errorf("the %s of %s is asked in %d forms, want 3", k.relation, k.entity, n)
		}
	}
}

func TestWrongMemoryIsWrong(t *testing.T) {
	prompts := Prompts()
	for i, p := range prompts {
		if w := prompts[(i+len(prompts)/2)%len(prompts)]; w.ExplicitEntity == p.ExplicitEntity || w.Answer == p.Answer {
			t.Errorf("row %d: wrong memory %q shares the country or the answer %q", i, w.ExplicitEntity, p.Answer)
		}
	}
}

func TestWords(t *testing.T) {
	vocab, words := vocabulary(t), Words()
	if len(words) < 30 {
		t.Errorf("got %d words, want at least 30", len(words))
	}
	for i, w := range words {
		if _, ok := vocab["Ġ"+strings.TrimPrefix(w, " ")]; !ok || w[0] != ' ' {
			t.Errorf("%q is not one token", w)
		}
		if slices.Contains(words[:i], w) {
			t.Errorf("%q appears twice", w)
		}
		for _, p := range Prompts() {
			if strings.EqualFold(w, p.ExplicitEntity) || strings.EqualFold(w, " "+p.Answer) {
				t.Errorf("%q is an entity or an answer", w)
			}
		}
	}
}

func TestFolderIsGPT2(t *testing.T) {
	data, err := fs.ReadFile(Files(), "config.json")
	config := decode[struct {
		ModelType string `json:"model_type"`
		VocabSize int    `json:"vocab_size"`
		Bos       int    `json:"bos_token_id"`
		Layers    int    `json:"n_layer"`
		Positions int    `json:"n_positions"`
	}](t, data, err)
	vocab := vocabulary(t)
	if config.ModelType != "gpt2" || config.Layers != 6 || config.Positions != 64 {
		t.Errorf("got config %+v, want gpt2 with 6 layers and 64 positions", config)
	}
	if config.VocabSize != len(vocab) || config.Bos != vocab["<|endoftext|>"] || config.Bos != len(vocab)-1 {
		t.Errorf("got vocabulary %d with BOS %d, want %d with BOS last", config.VocabSize, config.Bos, len(vocab))
	}
	seen := make([]bool, len(vocab))
	for token, id := range vocab {
		if id < 0 || id >= len(seen) || seen[id] {
			t.Fatalf("token %q has id %d, out of range or taken", token, id)
		}
		seen[id] = true
	}
	// 256 bytes, one token per merge, and BOS; the first line of merges.txt is its version.
	merges := strings.Split(strings.TrimSpace(text("merges.txt")), "\n")[1:]
	if want := len(vocab) - 257; len(merges) != want {
		t.Errorf("got %d merges, want %d", len(merges), want)
	}
	for _, m := range merges {
		if _, ok := vocab[strings.ReplaceAll(m, " ", "")]; !ok {
			t.Errorf("merge %q has no token", m)
		}
	}
}
