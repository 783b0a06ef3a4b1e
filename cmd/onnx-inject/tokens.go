package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

func tokensCommand() *command {
	return &command{
		name: "tokens", args: "MODEL [TEXT]", usage: "show the tokens of a text and their ids",
		doc: `Shows the tokens of a text, one per line, with their ids. " Peru" and "Peru" differ. MODEL can be a folder that contains
only the tokenizer's files. The text is encoded as run encodes a memory: nothing is added at its start. --prompt encodes
it as a prompt, which begins with the beginning-of-text token if the tokenizer has one.

--lines reads standard input and prints the ids of each line as one JSON array. With --quoted, each line is a JSON string,
which can contain line feeds.`,
		example: `onnx-inject tokens onnx-inject-demo " Peru"`,
		flags: []cli.Flag{
			boolFlag("lines", "encode every line of standard input"),
			boolFlag("quoted", "read the lines of standard input as JSON strings"),
			boolFlag("prompt", "encode as a prompt"),
			jsonFlag(),
		},
		run: showTokens,
	}
}

func showTokens(c *call) error {
	lines, given := c.Bool("lines"), len(c.args) > 1
	switch {
	case lines && given:
		return usagef("tokens: TEXT and --lines cannot be combined")
	case !lines && !given:
		return usagef("tokens: missing TEXT or --lines")
	case c.Bool("quoted") && !lines:
		return usagef("tokens: --quoted needs --lines")
	}
	t, err := tokenizerOf(c.args[0])
	if err != nil {
		return refused(withDemo(c.args[0], err))
	}
	encode := func(text string) ([]int64, error) {
		if c.Bool("prompt") {
			return memory.PaperTexts.Prompt(t, text)
		}
		return t.Encode(text), nil
	}
	if lines {
		return encodeLines(c, encode)
	}
	ids, err := encode(c.args[1])
	if err != nil {
		return refused(err)
	}
	if c.Bool("json") {
		return c.out.json(tokensDocument(t, c.args[1], ids))
	}
	rows := [][]span{}
	for i, id := range ids {
		rows = append(rows, []span{styled(dim, "%d", i), text("%d", id), styled(bold, "%s", quote(string(t.Bytes(id))))})
	}
	c.out.table(rows, 0, 1)
	return nil
}

// textTokens is the document of --json.
type textTokens struct {
	Text   string      `json:"text"`
	IDs    []int64     `json:"ids"`
	Tokens []textToken `json:"tokens"`
}

type textToken struct {
	ID    int64  `json:"id"`
	Token string `json:"token"` // U+FFFD for a token that is part of a character
	Bytes string `json:"bytes"` // in hexadecimal
}

func tokensDocument(t *tokenizer.Tokenizer, text string, ids []int64) textTokens {
	d := textTokens{Text: text, IDs: append([]int64{}, ids...), Tokens: []textToken{}}
	for _, id := range ids {
		d.Tokens = append(d.Tokens, textToken{id, t.Token(id), fmt.Sprintf("%x", t.Bytes(id))})
	}
	return d
}

// tokenizerOf loads the tokenizer that run uses, or the tokenizer of a folder without a model.
func tokenizerOf(path string) (*tokenizer.Tokenizer, error) {
	f, err := folder.Open(path)
	if err == nil {
		return f.Tokenizer()
	}
	for _, name := range []string{"tokenizer.json", "vocab.json"} {
		if _, missing := os.Stat(filepath.Join(path, name)); missing == nil {
			return tokenizer.Load(path)
		}
	}
	return nil, err
}

// encodeLines prints the ids of each line. It flushes the output when no more input is buffered.
func encodeLines(c *call, encode func(string) ([]int64, error)) error {
	in, out := bufio.NewReader(c.App.Reader), bufio.NewWriter(c.out.w)
	for n := 1; c.ctx.Err() == nil; n++ {
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := err != nil
		if last && line == "" {
			break
		}
		line = strings.TrimSuffix(line, "\n")
		if c.Bool("quoted") {
			if err := json.Unmarshal([]byte(line), &line); err != nil {
				return errors.Join(out.Flush(), refused(fmt.Errorf("line %d: want a JSON string: %w", n, err)))
			}
		}
		ids, err := encode(line)
		if err != nil {
			return errors.Join(out.Flush(), refused(fmt.Errorf("line %d: %w", n, err)))
		}
		b, err := json.Marshal(append([]int64{}, ids...))
		if err != nil {
			return err
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return err
		}
		if last {
			break
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(out.Flush(), c.ctx.Err())
}
