package main

import (
	"embed"
	"io"
)

//go:embed completion
var completionScripts embed.FS

func completionVerb() *verb {
	script := func(shell, file, how string) *verb {
		return &verb{
			name: shell, usage: "for " + shell,
			doc:     "Prints the script that completes verbs, flags and their values in " + shell + ".\nTo use it: " + how,
			example: "onnx-inject completion " + shell,
			run: func(c *call) error {
				if file == "" { // the library makes this one
					s, err := newApp(io.Discard, io.Discard).ToFishCompletion()
					if err == nil {
						_, err = io.WriteString(c.out.w, s)
					}
					return err
				}
				b, err := completionScripts.ReadFile("completion/" + file)
				if err == nil {
					_, err = c.out.w.Write(b)
				}
				return err
			},
		}
	}
	return &verb{
		name: "completion", usage: "a script that completes command lines in a shell",
		doc:     "Prints a script for one shell; the shell's own help says how to load it.",
		example: "onnx-inject completion bash",
		parts: []*verb{
			script("bash", "bash.sh", "source <(onnx-inject completion bash)"),
			script("zsh", "zsh.sh", "source <(onnx-inject completion zsh)"),
			script("fish", "", "onnx-inject completion fish | source"),
			script("powershell", "powershell.ps1", "onnx-inject completion powershell | Out-String | Invoke-Expression"),
		},
	}
}
