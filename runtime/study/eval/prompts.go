package eval

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// promptColumns are the columns that hold prompts where the caller names none.
var promptColumns = append(slices.Clone(twoHopColumns), "text")

// ReadPrompts reads a list of prompts whose numbers count: the lines of a .txt file, or a column of a .csv or .jsonl file. The
// column is that of PATH#COLUMN, or the first of obscure_sentence, prompt and text, or the only one. A prompt is exactly what
// the file has; an empty one is refused. Empty lines at the end of a .txt file are not prompts.
func ReadPrompts(arg string) ([]string, results.File, error) {
	path, column, hasColumn := strings.Cut(arg, "#")
	file := results.File{Name: filepath.Base(path)}
	var prompts []string
	var err error
	if strings.ToLower(filepath.Ext(path)) == ".txt" {
		if hasColumn {
			return nil, file, fmt.Errorf("%s has lines, not columns", file.Name)
		}
		var data []byte
		if data, file.SHA256, err = readText(path); err == nil {
			for line := range strings.Lines(strings.TrimRight(string(data), "\r\n")) {
				prompts = append(prompts, strings.TrimRight(line, "\r\n"))
			}
		}
	} else {
		c := -1
		file.SHA256, err = readTable(path, func(columns, values []string) error {
			if values != nil {
				prompts = append(prompts, strings.Clone(values[c])) // not the whole row
				return nil
			}
			if c = columnOf(columns, column, hasColumn); c < 0 {
				return fmt.Errorf("want %s#COLUMN with one of its columns: %s", file.Name, strings.Join(columns, ", "))
			}
			return nil
		})
	}
	if err == nil {
		switch i := slices.Index(prompts, ""); {
		case len(prompts) == 0:
			err = errors.New("the file has no prompts")
		case i >= 0:
			err = fmt.Errorf("prompt %d is empty", i)
		}
	}
	if err != nil {
		err = whenMissing(err, "want a .txt file with one prompt in a line, or a .csv or .jsonl file with a column prompt; onnx-inject demo writes an example: onnx-inject-demo/prompts.csv")
		return nil, file, named(&file, err)
	}
	return prompts, file, nil
}

// columnOf returns the column of the prompts, or -1.
func columnOf(columns []string, name string, named bool) int {
	if named {
		return slices.Index(columns, name)
	}
	for _, name := range promptColumns {
		if i := slices.Index(columns, name); i >= 0 {
			return i
		}
	}
	if len(columns) == 1 {
		return 0
	}
	return -1
}
