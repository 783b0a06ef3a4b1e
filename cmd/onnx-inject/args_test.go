package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

func TestArrange(t *testing.T) {
	tests := []struct{ line, want string }{
		{"inspect m.onnx", "inspect -- m.onnx"},
		{"inspect m.onnx --json", "inspect --json -- m.onnx"},
		{"inspect --json m.onnx --why", "inspect --json --why -- m.onnx"},
		{"run m.onnx --tau 9 --prompt x", "run --tau 9 --prompt x -- m.onnx"},
		{"run m.onnx --tau=9", "run --tau=9 -- m.onnx"},
		{"run m.onnx -tau -9 --layer -1", "run -tau -9 --layer -1 -- m.onnx"},
		{"run m.onnx --prompt --json", "run --prompt --json -- m.onnx"}, // a value can look like a flag
		{"rewrite m.onnx -o out.onnx --inject 0-3,7", "rewrite -o out.onnx --inject 0-3,7 -- m.onnx"},
		{"run m.onnx --ort-lib /l.so --prompt x", "--ort-lib /l.so run --prompt x -- m.onnx"},
		{"--ort-lib /l.so run m.onnx", "--ort-lib /l.so run -- m.onnx"},
		{"inspect -- --json", "inspect -- --json"},
		{"inspect -- a -- b", "inspect -- a -- b"},
		{"inspect -", "inspect -- -"},
		{"inspect m.onnx -h", "inspect -h"}, // the library would read m.onnx as a help topic
		{"ort install --cuda", "ort install --cuda"},
		{"ort --ort-lib /l.so which --json", "--ort-lib /l.so ort which --json"},
		{"rewrite m --inject 0 --inject 2 --expose z --expose result", "rewrite --inject 0 --inject 2 --expose z --expose result -- m"},
		{"inspect m --json --json", "inspect --json --json -- m"},
		{"run m --no-prompt-bos --prompt x", "run --prompt-bos=false --prompt x -- m"},
		{"encode m -no-prompt-bos", "encode --prompt-bos=false -- m"},
		{"--version", "--version"},
		{"-h", "-h"},
		{"-- inspect m.onnx", "inspect -- m.onnx"},
		{"ort -- which", "ort which"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			got, err := arrange(newApp(io.Discard, io.Discard), strings.Fields("onnx-inject "+tt.line))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Fields("onnx-inject " + tt.want); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestArrangeErrors(t *testing.T) {
	tests := []struct{ line, want, hint string }{
		{"insepct", `unknown command "insepct"`, "did you mean inspect?"},
		{"zzz", `unknown command "zzz"`, "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags"},
		{"rewrite m --exposes z", "rewrite: unknown flag --exposes", "did you mean --expose?"},
		{"rewrite m --qqq", "rewrite: unknown flag --qqq", "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags"},
		{"--jsn inspect", "unknown flag --jsn", "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags"},
		{"--json inspect m", "unknown flag --json", "put command flags after the command: onnx-inject COMMAND --json"},
		{"help --jzon", "help: unknown flag --jzon", "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags"}, // leading dashes do not count
		{"", "missing command", ""},
		{"--", "missing command", ""},
		{"--ort-lib /l.so", "missing command", ""},
		{"run m --tau 1 --prompt x -tau=2", "--tau was given twice: it takes one value", ""},
		{"rewrite m --bake --vector a --vector a", "--vector was given twice: it takes one value", ""},
		{"rewrite m -o a --out b", "--out was given twice: it takes one value", ""},
		{"--ort-lib a run m --ort-lib b", "--ort-lib was given twice: it takes one value", ""},
		{"run m --encoding embed --encoding layer", "--encoding was given twice: it takes one value", ""},
		{"run m --prompt-bos --prompt-bos=false", "--prompt-bos was given twice: it takes one value", ""},
		{"run m --prompt-bos --no-prompt-bos", "--prompt-bos was given twice: it takes one value", ""},
		{"run m --no-prompt-bos=true", "run: unknown flag --no-prompt-bos", "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags"},
		{"run m --no-prompt x", "run: unknown flag --no-prompt", "did you mean --prompt?"},
		{"inspect m --no-prompt-bos", "inspect: unknown flag --no-prompt-bos", "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags"},
		{"run m --no-help", "run: unknown flag --no-help", "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags"},
		{"run m --tau", "flag --tau needs a value", ""},
		{"ort instal", `unknown ort command "instal": want one of which, install, doctor`, "did you mean install?"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			_, err := arrange(newApp(io.Discard, io.Discard), strings.Fields("onnx-inject "+tt.line))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || hint.Of(err) != tt.hint || exitCode(err) != exitUsage {
				t.Errorf("got %v, hint %q, code %d; want %s, hint %q", err, hint.Of(err), exitCode(err), tt.want, tt.hint)
			}
		})
	}
}
