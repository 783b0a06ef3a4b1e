package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
)

// runSurvey runs lens over a file of prompt pairs.
func runSurvey(c *call) error {
	file := c.String("data")
	data, err := eval.ReadData(file)
	if err != nil {
		return refused(err)
	}
	rows := data.Rows
	if n := c.Int("limit"); n > 0 && n < len(rows) {
		rows = rows[:n]
	}
	var pairs []lens.Pair
	for _, r := range rows {
		pairs = append(pairs, lens.Pair{OneHop: r.OneHop, TwoHop: r.TwoHop, Entity: r.ExplicitEntity})
	}
	if err := lens.CheckPairs(pairs); err != nil { // before the model is loaded
		return refused(err)
	}
	l, err := openLens(c)
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := l.Survey(c.ctx, pairs, c.Int("top"), progress(c.err, "pairs"))
	if err != nil {
		return refused(err)
	}
	html := func(w io.Writer) error { return s.WriteHTML(w, filepath.Base(file)) }
	if err := c.writeTables(s.WriteCSV, html); err != nil {
		return err
	}
	if c.Bool("json") {
		return c.out.json(s)
	}
	printSurvey(c.out, filepath.Base(file), s)
	return nil
}

// writeTables writes the files that --csv and --html name.
func (c *call) writeTables(csv, html func(io.Writer) error) error {
	for name, write := range map[string]func(io.Writer) error{"csv": csv, "html": html} {
		path := c.String(name)
		if path == "" {
			continue
		}
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return err
		}
		err := atomicfile.Write(path, b.Bytes(), c.Bool("force"))
		if errors.Is(err, fs.ErrExist) {
			err = hintf(err, "give another name, or --force to replace it")
		}
		if err != nil {
			return unwritten(writeHint(err, int64(b.Len())))
		}
	}
	return nil
}
