package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// maxPrompt is the largest prompt on standard input in bytes, far above the context of any model.
const maxPrompt = 1 << 20

// readPrompt sets --prompt to the text of standard input if the second argument is "-". A line feed at its end is not part of it.
func (c *call) readPrompt() error {
	if len(c.args) < 2 {
		return nil
	}
	switch arg := c.args[1]; {
	case arg != "-":
		return usagef("%s: got the argument %s: want --prompt TEXT, or - to read the prompt from standard input", c.Command.Name, quote(arg))
	case c.IsSet("prompt"):
		return usagef("%s: --prompt and - cannot be combined: the prompt is a text or standard input", c.Command.Name)
	}
	text, err := c.input()
	if err != nil {
		return err
	}
	return c.Set("prompt", text)
}

// input returns the text of standard input. A child process gets what its parent has read.
func (c *call) input() (string, error) {
	if c.child != nil {
		return c.child.Input, nil
	}
	if f, ok := c.App.Reader.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.note("reading the prompt from the terminal; Ctrl-D ends it")
	}
	data, err := io.ReadAll(io.LimitReader(c.App.Reader, maxPrompt+1))
	switch {
	case err != nil:
		return "", refused(fmt.Errorf("read standard input: %w", cause(err)))
	case len(data) > maxPrompt:
		return "", refused(fmt.Errorf("standard input: want at most %s, got more", size(maxPrompt)))
	case !utf8.Valid(data):
		return "", refused(errors.New("standard input: want UTF-8, got other bytes"))
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}
