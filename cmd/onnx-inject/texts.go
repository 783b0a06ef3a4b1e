package main

import (
	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/memory"
)

// textFlags select how texts become tokens; the defaults are the paper's.
func textFlags() []cli.Flag {
	return []cli.Flag{
		switchFlag("prompt-bos", "begin prompts with the beginning-of-text token", memory.PaperTexts.PromptBOS),
		switchFlag("memory-bos", "begin memories with the beginning-of-text token", memory.PaperTexts.MemoryBOS),
		switchFlag("memory-space", "put a space before memories", memory.PaperTexts.MemorySpace),
		switchFlag("answer-space", `use the first token of " " + answer instead of answer`, memory.PaperTexts.AnswerSpace),
	}
}

// switchFlag returns a flag that is true or false: --name, --name=false or --no-name.
func switchFlag(name, usage string, value bool) cli.Flag {
	text := "false"
	if value {
		text = "true; --no-" + name + " turns it off"
	}
	return &cli.BoolFlag{Name: name, Usage: usage, Value: value, DefaultText: text}
}

// textsOf reads the flags of textFlags.
func textsOf(c *call) memory.Texts {
	return memory.Texts{PromptBOS: c.Bool("prompt-bos"), MemoryBOS: c.Bool("memory-bos"), MemorySpace: c.Bool("memory-space"), AnswerSpace: c.Bool("answer-space")}
}
