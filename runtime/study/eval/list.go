package eval

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// readVectors reads all vectors of a file, or the one that is named after "#".
func readVectors(arg string) ([]*vector.Vector, error) {
	if strings.Contains(arg, "#") {
		v, err := vector.Read(arg)
		return []*vector.Vector{v}, err
	}
	return vector.ReadAll(arg)
}

// readTexts reads a list: the lines of a .txt file, or a column of a .csv or .jsonl file (PATH#COLUMN). It skips empty
// lines and fields. Spaces are part of a text.
func readTexts(arg string) ([]string, *results.File, error) {
	path, column, hasColumn := strings.Cut(arg, "#")
	file := &results.File{Name: filepath.Base(path)}
	var texts []string
	if strings.ToLower(filepath.Ext(path)) == ".txt" {
		if hasColumn {
			return nil, nil, fmt.Errorf("%s has lines, not columns", file.Name)
		}
		data, sum, err := readText(path)
		if err != nil {
			return nil, nil, named(file, err)
		}
		file.SHA256 = sum
		for line := range strings.Lines(string(data)) {
			texts = append(texts, strings.TrimRight(line, "\r\n"))
		}
	} else {
		columns, rows, sum, err := readTable(path)
		if err != nil {
			return nil, nil, named(file, err)
		}
		file.SHA256 = sum
		c := slices.Index(columns, column)
		if !hasColumn && len(columns) == 1 {
			c = 0
		}
		if c < 0 {
			return nil, nil, fmt.Errorf("want %s#COLUMN with one of its columns: %s", file.Name, strings.Join(columns, ", "))
		}
		for _, r := range rows {
			texts = append(texts, r[c])
		}
	}
	texts = slices.DeleteFunc(texts, func(s string) bool { return s == "" })
	if len(texts) == 0 {
		return nil, nil, errors.New("the list is empty")
	}
	return texts, file, nil
}

// named adds the name of a file to an error that does not have it.
func named(f *results.File, err error) error {
	var has *fs.PathError
	if errors.As(err, &has) {
		return err
	}
	return fmt.Errorf("%s: %w", f.Name, err)
}
