package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/memory"
)

// textFlags say how texts become tokens; their defaults are the paper's.
func textFlags() []cli.Flag {
	return []cli.Flag{
		switchFlag("prompt-bos", "the beginning-of-text token stands before prompts", memory.PaperTexts.PromptBOS),
		switchFlag("memory-bos", "… and before memories", memory.PaperTexts.MemoryBOS),
		switchFlag("memory-space", "a space stands before memories", memory.PaperTexts.MemorySpace),
		switchFlag("answer-space", `an answer counts by the first token of " " + answer, not of answer`, memory.PaperTexts.AnswerSpace),
	}
}

// switchFlag makes a flag that is true or false: --name, --name=false.
func switchFlag(name, usage string, value bool) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, Value: value, DefaultText: fmt.Sprint(value)}
}

// textsOf reads the flags of textFlags.
func textsOf(c *call) memory.Texts {
	return memory.Texts{PromptBOS: c.Bool("prompt-bos"), MemoryBOS: c.Bool("memory-bos"), MemorySpace: c.Bool("memory-space"), AnswerSpace: c.Bool("answer-space")}
}
