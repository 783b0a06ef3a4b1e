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

// Load reads a folder. It ignores everything after the last commit, so that a running evaluation can be read.
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
			return fmt.Errorf("prompt %d appears twice: another program changed the file", p.Index)
		}
		seen[p.Index] = true
		r.Prompts, counts = append(r.Prompts, p), append(counts, cells)
		return row.err
	}); err != nil {
		return nil, err
	}
	at, left := 0, 0 // the prompt whose cells are being read, and the number of its cells still to read
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
			return fmt.Errorf("got a cell of prompt %d, want one of prompt %d: another program changed the file", c.Prompt, r.Prompts[at].Index)
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
		return nil, fmt.Errorf("%s ends before the last cell of prompt %d, which is complete according to %s: another program changed the file", CellsFile, r.Prompts[at].Index, PromptsFile)
	}
	return r, nil
}

func readManifest(dir string) (*Manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.With(fmt.Errorf("no %s in the folder: %w", ManifestFile, fs.ErrNotExist), "give a folder written by onnx-inject eval")
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("%s has version %d, but this program reads version %d", ManifestFile, m.Version, ManifestVersion)
	}
	return m, nil
}

// errStop ends a scan without an error.
var errStop = errors.New("stop")

// scan reads the rows of a file in order and calls f with each row and the offset after it. It returns the offset after the
// last complete row. An incomplete last row, as a crash leaves it, does not count. A missing file has no rows.
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
	// Rows appended by another process from now on are ignored, because the last of them may be incomplete.
	r := csv.NewReader(bufio.NewReaderSize(io.LimitReader(file, info.Size()), 1<<20))
	r.ReuseRecord = true
	x := &row{}
	for line := 0; ; line++ {
		fields, err := r.Read()
		if err == io.EOF {
			return end, nil
		}
		if after := r.InputOffset(); after == info.Size() && (err != nil || !endsLine(file, after)) {
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
