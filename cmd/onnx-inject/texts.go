package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
)

// textFlags say how texts become tokens; their defaults are the paper's.
func textFlags() []cli.Flag {
	return []cli.Flag{
		switchFlag("prompt-bos", "the beginning-of-text token stands before prompts", models.PaperTexts.PromptBOS),
		switchFlag("memory-bos", "… and before memories", models.PaperTexts.MemoryBOS),
		switchFlag("memory-space", "a space stands before memories", models.PaperTexts.MemorySpace),
		switchFlag("answer-space", `an answer counts by the first token of " " + answer, not of answer`, models.PaperTexts.AnswerSpace),
	}
}

// switchFlag makes a flag that is true or false: --name, --name=false.
func switchFlag(name, usage string, value bool) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, Value: value, DefaultText: fmt.Sprint(value)}
}

// textsOf reads the flags of textFlags.
func textsOf(c *call) models.Texts {
	return models.Texts{PromptBOS: c.Bool("prompt-bos"), MemoryBOS: c.Bool("memory-bos"), MemorySpace: c.Bool("memory-space"), AnswerSpace: c.Bool("answer-space")}
}
