package main

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

//go:embed completion
var completionScripts embed.FS

func completionCommand() *command {
	script := func(shell, file, how string) *command {
		return &command{
			name: shell, usage: "completion script for " + shell,
			doc:     "Prints the script that completes commands, flags and their values in " + shell + ".\nTo use it: " + how,
			example: "onnx-inject completion " + shell,
			run: func(c *call) error {
				b, err := completionScripts.ReadFile("completion/" + file)
				if err == nil {
					_, err = c.out.w.Write(b)
				}
				return err
			},
		}
	}
	return &command{
		name: "completion", usage: "print a shell completion script",
		doc:     "Prints a completion script for one shell. The help of each subcommand shows how to load the script.",
		example: "onnx-inject completion bash",
		parts: []*command{
			script("bash", "bash.sh", "source <(onnx-inject completion bash)"),
			script("zsh", "zsh.sh", "source <(onnx-inject completion zsh)"),
			script("fish", "fish.fish", "onnx-inject completion fish | source"),
			script("powershell", "powershell.ps1", "onnx-inject completion powershell | Out-String | Invoke-Expression"),
		},
	}
}

// completeWord takes the place of the command when a completion script asks what can come next. The words of the line follow it;
// the last one is the part of the next word that has been typed, which can be empty. The library's own completion handles neither
// flags after an argument nor the values of flags.
const completeWord = "__complete"

// complete prints the words that can come next, one per line, each followed by a tab and its description: commands, subcommands,
// flags, or the words that a flag takes. If it prints nothing, shells offer files.
func complete(app *cli.App, words []string, typed string) {
	commands, flags := app.Commands, app.Flags
	var before cli.Flag // the flag whose value comes next
	for _, w := range words {
		if before = nil; strings.HasPrefix(w, "-") && !strings.Contains(w, "=") {
			if before = find(flags, strings.TrimLeft(w, "-")); before != nil && isBool(before) {
				before = nil
			}
		} else if i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(w) }); i >= 0 {
			flags = slices.Concat(commands[i].Flags, app.Flags)
			if commands[i].Name != "help" { // whose arguments are commands
				commands = commands[i].Subcommands
			}
		}
	}
	switch {
	case before != nil:
		if f, ok := before.(*cli.GenericFlag); ok {
			if c, ok := f.Value.(*choice); ok {
				for _, w := range c.from {
					offer(app.Writer, w, "")
				}
			}
		}
	case strings.HasPrefix(typed, "-"):
		seen := map[string]bool{}
		for _, f := range flags {
			name := dashed(f.Names()[0])
			if d, ok := f.(cli.DocGenerationFlag); ok && !seen[name] && strings.HasPrefix(name, typed) {
				offer(app.Writer, name, strings.ReplaceAll(d.GetUsage(), "`", ""))
			}
			seen[name] = true
		}
	default:
		for _, c := range commands {
			offer(app.Writer, c.Name, c.Usage)
		}
	}
}

func offer(w io.Writer, word, what string) {
	fmt.Fprintln(w, strings.TrimRight(word+"\t"+what, "\t"))
}
