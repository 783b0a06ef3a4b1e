package results

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// The files of a folder.
const (
	ManifestFile = "manifest.json"
	CellsFile    = "cells.csv"
	PromptsFile  = "prompts.csv"
	SummaryFile  = "summary.json"
	lockFile     = ".lock"
)

// Load reads a folder. What stands behind the last commit is left out, so that an evaluation can be looked at while it runs.
func Load(dir string) (*Run, error) {
	r, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("results %q: %w", dir, err)
	}
	return r, nil
}

func load(dir string) (*Run, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{Dir: dir, Manifest: m}
	var counts []int
	seen := map[int]bool{}
	if _, err := scan(filepath.Join(dir, PromptsFile), promptColumns, func(row *row, _ int64) error {
		p, cells := row.prompt()
		if row.err == nil && seen[p.Index] {
			return fmt.Errorf("prompt %d for the second time: the file was changed by other hands", p.Index)
		}
		seen[p.Index] = true
		r.Prompts, counts = append(r.Prompts, p), append(counts, cells)
		return row.err
	}); err != nil {
		return nil, err
	}
	at, left := 0, 0 // the prompt whose cells are being read, and how many of them are still to come
	if len(counts) > 0 {
		left = counts[0]
	}
	_, err = scan(filepath.Join(dir, CellsFile), cellColumns, func(row *row, _ int64) error {
		for left == 0 {
			if at++; at >= len(counts) {
				return errStop
			}
			left = counts[at]
		}
		c := row.cell()
		if row.err == nil && c.Prompt != r.Prompts[at].Index {
			return fmt.Errorf("a cell of prompt %d, want one of prompt %d: the file was changed by other hands", c.Prompt, r.Prompts[at].Index)
		}
		r.Cells = append(r.Cells, c)
		left--
		return row.err
	})
	if err != nil {
		return nil, err
	}
	for left == 0 && at < len(counts)-1 {
		at++
		left = counts[at]
	}
	if left > 0 {
		return nil, fmt.Errorf("%s ends before the cells of prompt %d do, which %s has as done: the file was changed by other hands", CellsFile, r.Prompts[at].Index, PromptsFile)
	}
	return r, nil
}

func readManifest(dir string) (*Manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.With(fmt.Errorf("no %s in it: %w", ManifestFile, fs.ErrNotExist), "results are written by onnx-inject eval")
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("%s has version %d, this program reads %d", ManifestFile, m.Version, ManifestVersion)
	}
	return m, nil
}

// errStop ends a scan.
var errStop = errors.New("stop")

// scan reads the rows of a file one by one; f gets each with the offset of the byte behind it. It returns the offset behind the
// last whole row. A last row that is cut short, as a kill leaves it, is no row; a file that is missing has none.
func scan(path string, want []string, f func(r *row, end int64) error) (end int64, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	name := filepath.Base(path)
	// What another process appends from now on is left out: of its last row a reader may see a part.
	r := csv.NewReader(bufio.NewReaderSize(io.LimitReader(file, info.Size()), 1<<20))
	r.ReuseRecord = true
	x := &row{}
	for line := 0; ; line++ {
		fields, err := r.Read()
		if err == io.EOF {
			return end, nil
		}
		if behind := r.InputOffset(); behind == info.Size() && (err != nil || !endsLine(file, behind)) {
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		if line == 0 {
			if x.columns, err = columnsOf(fields, want); err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			end = r.InputOffset()
			continue
		}
		x.fields = fields
		if err := f(x, r.InputOffset()); err == errStop {
			return end, nil
		} else if err != nil {
			return 0, fmt.Errorf("%s, row %d: %w", name, line, err)
		}
		end = r.InputOffset()
	}
}

// endsLine reports whether the byte before an offset ends a line.
func endsLine(f *os.File, offset int64) bool {
	var b [1]byte
	_, err := f.ReadAt(b[:], offset-1)
	return err == nil && b[0] == '\n'
}
