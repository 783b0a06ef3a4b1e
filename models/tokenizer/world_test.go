package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	tiktoken "github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
)

// gpt2 is the real GPT-2 vocabulary, derived once from the ranks in the oracle, so that the repository needs no copy: id =
// rank, and the merge of a token is the pair that BPE with only lower ranks makes of its bytes.
var gpt2 = sync.OnceValue(func() (w struct {
	vocab  map[string]int64
	merges [][2]string
}) {
	ranks, err := loader.NewOfflineLoader().LoadTiktokenBpe("r50k_base.tiktoken")
	if err != nil {
		panic(err)
	}
	byRank := make([]string, len(ranks))
	for token, rank := range ranks {
		byRank[rank] = token
	}
	w.vocab = make(map[string]int64, len(ranks)+1)
	for rank, token := range byRank {
		w.vocab[toSymbols(token)] = int64(rank)
		if rank < 256 {
			continue
		}
		parts := make([]string, len(token))
		for i := range len(token) {
			parts[i] = token[i : i+1]
		}
		for len(parts) > 2 {
			best, at := rank, -1
			for i := range len(parts) - 1 {
				if r, ok := ranks[parts[i]+parts[i+1]]; ok && r < best {
					best, at = r, i
				}
			}
			if at < 0 {
				panic(fmt.Sprintf("token %q of rank %d falls into %q", token, rank, parts))
			}
			parts[at] += parts[at+1]
			parts = append(parts[:at+1], parts[at+2:]...)
		}
		w.merges = append(w.merges, [2]string{toSymbols(parts[0]), toSymbols(parts[1])})
	}
	w.vocab[endOfText] = int64(len(ranks))
	return w
})

// oracle is an independent GPT-2 tokenizer.
var oracle = sync.OnceValue(func() *tiktoken.Tiktoken {
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	t, err := tiktoken.GetEncoding(tiktoken.MODEL_R50K_BASE)
	if err != nil {
		panic(err)
	}
	return t
})

// tables returns the two files that OpenAI published.
func tables(vocab map[string]int64, merges [][2]string) fstest.MapFS {
	var b strings.Builder
	b.WriteString("#version: 0.2\n")
	for _, m := range merges {
		b.WriteString(m[0] + " " + m[1] + "\n")
	}
	return fstest.MapFS{
		"vocab.json": {Data: mustJSON(vocab)},
		"merges.txt": {Data: []byte(b.String())},
	}
}

type object = map[string]any

// document returns the same as one Hugging Face file. edit may change it.
func document(vocab map[string]int64, merges any, edit func(doc object)) fstest.MapFS {
	doc := object{
		"version":        "1.0",
		"added_tokens":   []object{{"id": vocab[endOfText], "special": true, "content": endOfText, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}},
		"normalizer":     nil,
		"pre_tokenizer":  object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
		"post_processor": object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
		"model":          object{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false, "vocab": vocab, "merges": merges},
	}
	if edit != nil {
		edit(doc)
	}
	return fstest.MapFS{"tokenizer.json": {Data: mustJSON(doc)}}
}

func spaced(merges [][2]string) []string {
	out := make([]string, len(merges))
	for i, m := range merges {
		out[i] = m[0] + " " + m[1]
	}
	return out
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func mustLoad(t testing.TB, fsys fstest.MapFS) *Tokenizer {
	t.Helper()
	tok, err := LoadFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

var loadGPT2 = sync.OnceValues(func() (*Tokenizer, error) { return LoadFS(tables(gpt2().vocab, gpt2().merges)) })

// realGPT2 returns the GPT-2 tokenizer.
func realGPT2(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := loadGPT2()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// tiny returns a vocabulary of the 256 bytes, the given merges and <|endoftext|>.
func tiny(merges ...[2]string) map[string]int64 {
	vocab := map[string]int64{}
	for _, r := range symbols {
		vocab[string(r)] = int64(len(vocab))
	}
	for _, m := range merges {
		vocab[m[0]+m[1]] = int64(len(vocab))
	}
	vocab[endOfText] = int64(len(vocab))
	return vocab
}
