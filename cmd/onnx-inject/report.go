package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/runtime/study/published"
	pages "github.com/onnx-inject/onnx-inject/runtime/study/report" // in this package, report prints errors
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func reportCommand() *command {
	return &command{
		name: "report", args: "[DIR…]", usage: "show results as one HTML page, pictures and tables",
		doc: `Reads folders that eval wrote and writes one self-contained HTML page: heat-maps over layers and taus, the curated
memories compared with the others, the prompts with the largest gains and losses, and the origin of the data. Shards of
one evaluation are merged; different evaluations are shown side by side. A folder can be read while eval writes to it.

--by COLUMN also shows the effect for each value of a column of the data, such as relation, at the best cell of each
memory by the log-odds. All groups have the same cell, which was chosen on all prompts.

--published reads the CSV files that the authors of "Memory Injections" published, and checks the headline of their paper.
DIR is then optional.

A page that an earlier report wrote is replaced; any other existing file is kept unless --force is given.
The most likely tokens are shown as text if the model's tokenizer is found: with --model, or in a folder with the model's
name next to DIR or in the current folder. Its checksum must be the one in the results.`,
		example: "onnx-inject report demo-results -o demo-report.html",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the page to `OUT`", Value: "report.html", TakesFile: true},
			boolFlag("png", "also write the pictures as PNG and SVG to the folder OUT-pictures"),
			&cli.StringFlag{Name: "by", Usage: "also show the effect for each value of `COLUMN` of the data, such as relation"},
			&cli.StringFlag{Name: "published", Usage: "also show the authors' result files in `DIR`", TakesFile: true},
			&cli.StringFlag{Name: "parquet", Usage: "write the cells to `FILE`, for pandas, polars or DuckDB", TakesFile: true},
			&cli.StringFlag{Name: "model", Usage: "show tokens as text with the tokenizer of `MODEL`", TakesFile: true},
			boolFlag("force", "replace existing files"),
			percentFlag(),
			jsonFlag(),
		},
		run: runReport,
	}
}

func runReport(c *call) error {
	if len(c.args) == 0 && c.String("published") == "" {
		return hintf(usagef("report: missing a folder of results, or --published DIR"), "onnx-inject eval and onnx-inject demo write folders of results; for example: onnx-inject report %s", demoDir+"/results")
	}
	for _, name := range []string{"out", "by", "published", "parquet", "model"} {
		if c.IsSet(name) && c.String(name) == "" {
			return usagef("flag --%s: the name is empty", name)
		}
	}
	runs, err := readRuns(c)
	if err != nil {
		return err
	}
	if by := c.String("by"); by != "" {
		if err := pages.CheckColumn(runs, by); err != nil {
			return badFlag("by", err)
		}
	}
	names, err := findTokens(c.String("model"), runs)
	if err != nil {
		return err
	}
	o := pages.Options{Tool: "onnx-inject " + version(), Token: names.text, By: c.String("by")}
	claim, found, err := published.Headline(runs)
	if err != nil {
		return refused(err)
	}
	if found {
		o.Findings = append(o.Findings, headline(claim))
	}
	r, err := pages.New(runs, o)
	if err != nil {
		return refused(err)
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	for _, n := range r.Notices() {
		c.note("%s", n)
	}
	w := &reportFiles{Page: c.String("out"), force: c.Bool("force")}
	if err := w.write(c, r, runs); err != nil {
		return w.hint(err)
	}
	if c.Bool("json") {
		return c.out.json(reportJSON(w, r, runs, claim))
	}
	showReport(c.out, w, r, runs, claim, c.Bool("percent"))
	return nil
}

// readRuns reads the folders and the published files, in this order.
func readRuns(c *call) ([]*results.Run, error) {
	var runs []*results.Run
	for _, dir := range c.args {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, refused(withDemo(dir, fmt.Errorf("results %s: no such folder", quote(dir))))
		}
		r, err := results.Load(c.ctx, dir)
		if err != nil {
			return nil, refused(insteadOf(dir, err))
		}
		runs = append(runs, r)
	}
	runs, err := results.Merge(runs)
	if err != nil {
		return nil, refused(err)
	}
	if dir := c.String("published"); dir != "" {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, refused(fmt.Errorf("flag --published %s: no such folder", quote(dir)))
		}
		theirs, err := published.Open(dir)
		if err != nil {
			return nil, refused(err)
		}
		runs = append(runs, theirs...)
	}
	return runs, nil
}

// insteadOf adds advice to an error about a folder without results: the folder in it that has some. demo writes such a folder.
func insteadOf(dir string, err error) error {
	inner := filepath.Join(dir, "results")
	if _, missing := os.Stat(filepath.Join(inner, results.ManifestFile)); missing != nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return hintf(err, "the results are in its folder: onnx-inject report %s", shellWord(inner))
}

// foldersOf returns the folder of each series, or nil if all are in one.
func foldersOf(s *stats.Summary, runs []*results.Run) []string {
	var out []string
	for _, series := range s.Series {
		out = append(out, runs[series.Run].Dir)
	}
	if len(slices.Compact(slices.Clone(out))) < 2 {
		return nil
	}
	return out
}

// reportFiles lists the files that a report writes.
type reportFiles struct {
	Page     string   `json:"page"`
	Pictures []string `json:"pictures"` // PNG and SVG
	Parquet  string   `json:"parquet,omitempty"`

	force bool
}

// write writes the page last, so that its presence means that all files are complete.
func (w *reportFiles) write(c *call, r *pages.Report, runs []*results.Run) error {
	w.Pictures = []string{}
	if st, err := os.Stat(w.Page); err == nil && st.IsDir() {
		w.Page = filepath.Join(w.Page, "report.html")
	}
	if _, err := os.Stat(filepath.Dir(w.Page)); errors.Is(err, fs.ErrNotExist) {
		return &atomicfile.Error{Path: w.Page, Err: fmt.Errorf("folder %s does not exist", filepath.Dir(w.Page))}
	}
	force := w.force || isReport(w.Page)
	if err := atomicfile.Check(w.Page, force); err != nil {
		return err
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		return err
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if c.Bool("png") {
		if err := w.writePictures(r, force); err != nil {
			return err
		}
	}
	if w.Parquet = c.String("parquet"); w.Parquet != "" {
		if err := results.WriteParquet(c.ctx, w.Parquet, runs, w.force); err != nil {
			return err
		}
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return atomicfile.Write(w.Page, page.Bytes(), force)
}

func (w *reportFiles) writePictures(r *pages.Report, force bool) error {
	pictures, err := r.Pictures()
	if err != nil {
		return err
	}
	dir := strings.TrimSuffix(w.Page, filepath.Ext(w.Page)) + "-pictures"
	if err := os.Mkdir(dir, 0o777); err != nil && !os.IsExist(err) {
		return &atomicfile.Error{Path: dir, Err: err}
	}
	for _, p := range pictures {
		for _, f := range []struct {
			ext  string
			data []byte
		}{{".png", p.PNG}, {".svg", p.SVG}} {
			path := filepath.Join(dir, p.Name+f.ext)
			if err := atomicfile.Write(path, f.data, force); err != nil {
				return err
			}
			w.Pictures = append(w.Pictures, path)
		}
	}
	return nil
}

// hint adds advice to an error of writing.
func (w *reportFiles) hint(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrExist):
		err = hintf(err, "give another name, or --force to replace it")
	case errors.As(err, &errno) && errno != syscall.ENOSPC && errno != syscall.EFBIG:
		err = hintf(err, "choose a folder with write access")
	}
	return unwritten(err)
}

// isReport reports whether a file is a page that report wrote.
func isReport(path string) bool {
	f, err := sidefile.OpenOwn(path, math.MaxInt64)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(pages.Marker))
	_, err = io.ReadFull(f, head)
	return err == nil && bytes.Equal(head, []byte(pages.Marker))
}
