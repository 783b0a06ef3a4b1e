package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// size holds the dimensions of a decoder. The width of a head is embd/heads.
type size struct {
	layers, heads, embd, positions, vocab int64
	kv, mlp                               int64 // heads of keys and values, and width of the MLP: of a Llama only; GPT-2 has heads and 4*embd
}

func (s size) model(copied bool) *model {
	if s.kv > 0 {
		return llama(s)
	}
	return gpt2(s, copied)
}

// sizes are OpenAI's sizes of GPT-2, that of Llama 3.2 1B, and two small enough for tests.
var sizes = map[string]size{
	"tiny":   {layers: 2, heads: 4, embd: 32, positions: 48, vocab: 131},
	"small":  {layers: 12, heads: 12, embd: 768, positions: 1024, vocab: 50257},
	"medium": {layers: 24, heads: 16, embd: 1024, positions: 1024, vocab: 50257},
	"large":  {layers: 36, heads: 20, embd: 1280, positions: 1024, vocab: 50257},
	"xl":     {layers: 48, heads: 25, embd: 1600, positions: 1024, vocab: 50257},

	"llama-tiny": {layers: 2, heads: 4, kv: 2, embd: 64, mlp: 96, positions: 48, vocab: 131},
	"llama-1b":   {layers: 16, heads: 32, kv: 8, embd: 2048, mlp: 8192, positions: 131072, vocab: 128256},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("gen", flag.ContinueOnError)
	name := fs.String("size", "small", "of GPT-2: tiny, small, medium, large or xl; of a Llama: llama-tiny or llama-1b")
	out := fs.String("o", "", "file to write; with -external its weights are written to FILE_data in the same folder, or FILE.data for a Llama")
	external := fs.Bool("external", false, "store tensors of 1 KiB and more in one external data file")
	sparse := fs.Bool("sparse", false, "give the external data file its full length and the masks, but no weights; requires -external")
	copied := fs.Bool("copy", false, "store the unembedding as a transposed copy of the embedding")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, ok := sizes[*name]
	switch {
	case !ok:
		names := make([]string, 0, len(sizes))
		for n := range sizes {
			names = append(names, n)
		}
		slices.Sort(names)
		return fmt.Errorf("size %q: want one of %s", *name, strings.Join(names, ", "))
	case *out == "":
		return errors.New("flag -o: want a file to write")
	case fs.NArg() > 0:
		return fmt.Errorf("argument %q: want flags only", fs.Arg(0))
	case *copied && s.kv > 0:
		return errors.New("flag -copy: want a size of GPT-2, because the embedding of these Llamas is read from the unembedding")
	case *sparse && !*external:
		return errors.New("flag -sparse: only an external data file can be sparse, add -external")
	}
	return write(s.model(*copied), *out, *external, *sparse)
}
