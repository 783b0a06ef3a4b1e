package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// lengths are the lengths of the paper's 106 two-hop prompts in tokens, including the beginning-of-text token, in order: mean 14.0.
var lengths = []int{
	11, 10, 12, 8, 13, 14, 13, 12, 24, 15, 16, 16, 13, 12, 8, 8, 9, 14, 13, 10, 7, 21, 11, 17, 20, 16, 16, 13, 12, 25, 16, 33, 11, 11, 17,
	13, 14, 12, 14, 14, 16, 13, 11, 18, 21, 15, 15, 13, 14, 15, 14, 15, 19, 15, 25, 16, 13, 11, 12, 17, 24, 32, 17, 9, 15, 17, 12, 19, 15,
	17, 12, 12, 7, 14, 12, 12, 10, 17, 12, 12, 13, 14, 9, 14, 13, 6, 13, 14, 20, 16, 9, 9, 15, 11, 10, 11, 11, 10, 12, 9, 18, 14, 11, 10, 8, 14,
}

// few returns n of the lengths, spread evenly over the sorted list.
func few(n int) []int {
	sorted := slices.Sorted(slices.Values(lengths))
	var out []int
	for i := range n {
		out = append(out, sorted[(2*i+1)*len(sorted)/(2*n)])
	}
	return out
}

// words are one token each in GPT-2's vocabulary with a preceding space.
var words = strings.Fields("the time people river city house water music book world light morning winter garden road stone bird letter window king " +
	"table story paper friend summer night door field horse ship")

// prompt is one row of the data. Its words have no meaning, because the time of a run depends only on their number.
type prompt struct {
	Prompt string `json:"prompt"`
	Memory string `json:"memory"`
	Answer string `json:"answer"`
}

// promptsOf returns one prompt of each length.
func promptsOf(lengths []int) []prompt {
	var out []prompt
	for i, n := range lengths {
		text := []string{"The"}
		for len(text) < n-1 { // the beginning-of-text token is the first
			text = append(text, words[(7*i+11*len(text))%len(words)])
		}
		out = append(out, prompt{strings.Join(text, " "), "The " + words[i%len(words)], words[(i+5)%len(words)]})
	}
	return out
}

// data writes a file of prompts of these lengths and returns its path.
func (b *bench) data(name string, lengths []int) (string, error) {
	path := filepath.Join(b.cache, name)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	rows := [][]string{{"prompt", "memory", "answer"}}
	for _, p := range promptsOf(lengths) {
		rows = append(rows, []string{p.Prompt, p.Memory, p.Answer})
	}
	return path, w.WriteAll(rows)
}

// sameLengths checks that the tokenizer produced the intended number of tokens for each prompt.
func sameLengths(ctx context.Context, dir string, lengths []int) error {
	r, err := results.Load(ctx, dir)
	if err != nil {
		return err
	}
	if len(r.Prompts) != len(lengths) {
		return fmt.Errorf("results %q: %d prompts, want %d", dir, len(r.Prompts), len(lengths))
	}
	for i, p := range r.Prompts {
		if p.Tokens != lengths[i] {
			return fmt.Errorf("results %q: prompt %d has %d tokens, want %d", dir, i, p.Tokens, lengths[i])
		}
	}
	return nil
}
