package results

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// The files of a folder.
const (
	ManifestFile = outdir.ManifestFile
	CellsFile    = "cells.csv"
	PromptsFile  = "prompts.csv"
	SummaryFile  = "summary.json"

	SideEffectsFile = "side_effects.csv"
)

// The limits of the files and of a row. A folder of 10^8 cells has 15 GB.
const (
	maxManifest = 16 << 20
	maxTable    = 24 << 30
	maxRow      = 16 << 20
)

// Load reads a folder. It ignores everything after the last commit, so that a running evaluation can be read. It refuses a
// folder whose committed rows are not as they were written. When ctx ends first, it returns the context's error.
func Load(ctx context.Context, dir string) (*Run, error) {
	l := &loader{ctx: ctx, dir: dir}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("results %q: %w", dir, err)
	}
	return l.run, nil
}

// loader reads a folder.
type loader struct {
	ctx     context.Context
	dir     string
	run     *Run
	commits []commit
	prompts int64 // committed bytes of prompts.csv
	cells   int64 // committed bytes of cells.csv
	side    int64 // committed bytes of side_effects.csv
}

// commit is a row of prompts.csv.
type commit struct {
	cells    int
	row      []byte // up to the comma before the checksum; nil without checksums
	checksum string
}

func (l *loader) load() error {
	m, sealed, err := readManifest(l.dir)
	if err != nil {
		return err
	}
	l.run = &Run{Dir: l.dir, Manifest: m, Unsealed: !sealed}
	if err := l.readPrompts(); err != nil {
		return err
	}
	if err := l.readCells(); err != nil {
		return err
	}
	return l.readSide()
}

func (l *loader) readPrompts() (err error) {
	seen := map[int]bool{}
	l.prompts, err = scan(l.ctx, filepath.Join(l.dir, PromptsFile), l.run.Manifest.promptColumns(), func(x *row) error {
		if x.line == 0 {
			sealed, err := l.run.Manifest.hasChecksums(x.fields)
			if err == nil && sealed && l.run.Unsealed {
				err = damaged("%s has no checksum at its end, but the prompts have", ManifestFile)
			}
			l.run.Unsealed = !sealed
			return err
		}
		p, cells := x.prompt(l.run.Manifest)
		switch {
		case x.err != nil:
			return x.err
		case seen[p.Index]:
			return damaged("prompt %d appears twice", p.Index)
		case !l.run.Manifest.owns(p.Index):
			return damaged("prompt %d is not in the evaluation that %s describes", p.Index, ManifestFile)
		case cells < 0:
			return damaged("want a number of cells, found %d", cells)
		}
		seen[p.Index] = true
		c := commit{cells: cells}
		if !l.run.Unsealed {
			c.row, c.checksum = slices.Clone(beforeLast(x.raw)), x.text(checksumColumn)
		}
		l.run.Prompts, l.commits = append(l.run.Prompts, p), append(l.commits, c)
		return nil
	})
	return err
}

// readCells reads the cells of the committed prompts and checks each prompt.
func (l *loader) readCells() error {
	m := l.run.Manifest
	at, begin := -1, 0 // the prompt whose cells are being read, and its first cell
	var sum hash.Hash
	// enter goes to the prompt that the next row belongs to, and checks those that are complete.
	enter := func() error {
		for at < len(l.commits) && (at < 0 || len(l.run.Cells)-begin == l.commits[at].cells) {
			if at >= 0 {
				if err := l.check(at, l.run.Cells[begin:], sum); err != nil {
					return fmt.Errorf("prompt %d: %w", l.run.Prompts[at].Index, err)
				}
			}
			at, begin = at+1, len(l.run.Cells)
			if at < len(l.commits) {
				sum = digest(l.commits[at].row)
			}
		}
		return nil
	}
	_, err := scan(l.ctx, filepath.Join(l.dir, CellsFile), m.cellColumns(), func(x *row) error {
		if x.line == 0 {
			l.cells = x.end
			return nil
		}
		if err := enter(); err != nil {
			return err
		}
		if at == len(l.commits) {
			return errStop
		}
		c := x.cell(m)
		switch {
		case x.err != nil:
			return x.err
		case c.Prompt != l.run.Prompts[at].Index:
			return damaged("got a cell of prompt %d, want one of prompt %d", c.Prompt, l.run.Prompts[at].Index)
		case x.text("model") != m.Model.Name || x.text("data") != m.Data.Name:
			return damaged("got a cell of %q and %q, want one of %q and %q", x.text("model"), x.text("data"), m.Model.Name, m.Data.Name)
		}
		x.sameP("p_obscure", l.run.Prompts[at].Clean)
		x.sameP("p_explicit", l.run.Prompts[at].Ceiling)
		l.run.Cells = append(l.run.Cells, c)
		sum.Write(x.raw)
		l.cells = x.end
		return x.err
	})
	if err == nil {
		err = enter()
	}
	if err == nil && at < len(l.commits) {
		err = damaged("%s ends before the last cell of prompt %d, which is complete according to %s", CellsFile, l.run.Prompts[at].Index, PromptsFile)
	}
	return err
}

// check requires a committed prompt to be as it was written.
func (l *loader) check(at int, cells []Cell, sum hash.Hash) error {
	if err := l.run.Manifest.checkGrid(cells); err != nil {
		return err
	}
	if c := l.commits[at]; !l.run.Unsealed && hexSum(sum) != c.checksum {
		return damaged("the checksum in %s does not fit: the rows of the prompt were changed after they were written", PromptsFile)
	}
	return nil
}

func readManifest(dir string) (m *Manifest, sealed bool, err error) {
	data, err := sidefile.ReadFile(filepath.Join(dir, ManifestFile), maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, hint.With(fmt.Errorf("no %s in the folder: %w", ManifestFile, fs.ErrNotExist), "give a folder written by onnx-inject eval")
	}
	if err != nil {
		return nil, false, err
	}
	m = &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, false, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if m.Version != ManifestVersion {
		return nil, false, fmt.Errorf("%s has version %d, but this program reads version %d", ManifestFile, m.Version, ManifestVersion)
	}
	if sealed, err = outdir.CheckSeal(data); err != nil {
		return m, sealed, err
	}
	// A field of a later version may say that the cells mean something else.
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&struct {
		Manifest
		Seal string `json:"sha256"`
	}{}); err != nil {
		return m, sealed, fmt.Errorf("%s: %w: the folder was written by another version of this program", ManifestFile, err)
	}
	return m, sealed, nil
}

// errStop ends a scan without an error.
var errStop = errors.New("stop")

// scan reads the rows of a file in order and calls f with each row, the header included. It returns the offset after the last complete row. An
// incomplete last row, as a crash leaves it, does not count. A missing file has no rows.
func scan(ctx context.Context, path string, want []string, f func(r *row) error) (end int64, err error) {
	file, err := sidefile.Open(path, maxTable)
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
	r := sidefile.NewRows(io.LimitReader(file, info.Size()), maxRow)
	x := &row{}
	for line := 0; ; line++ {
		fields, err := r.Read()
		if err == io.EOF {
			return end, nil
		}
		if r.Offset() == info.Size() && (err != nil || !bytes.HasSuffix(r.Raw(), []byte("\n"))) {
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		if line == 0 {
			if x.columns, err = columnsOf(fields, want); err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
		}
		x.line, x.fields, x.raw, x.end = line, fields, r.Raw(), r.Offset()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := f(x); err == errStop {
			return end, nil
		} else if err != nil {
			return 0, fmt.Errorf("%s, row %d: %w", name, line, err)
		}
		end = r.Offset()
	}
}
