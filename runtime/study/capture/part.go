package capture

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// part is a finished folder of the same capture: a shard, or one with another limit. Its values are used instead of a run.
type part struct {
	shape   *shape
	batch   Batch
	files   []partFile
	prompts map[int]partRows // by index in the data
}

type partFile struct {
	in     *os.File
	rows   int
	values int64 // where they begin
	status map[int]string
}

// partRows are the rows of a prompt, which are in one file.
type partRows struct{ file, first, n int }

// openPart opens a folder, whose capture must be want in everything except which prompts it has, the batches and the files.
func openPart(dir string, s *shape, want *Manifest) (_ *part, err error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	loose := func(m Manifest) Manifest {
		m.Prompts, m.Rows, m.Files, m.FileMiB, m.Shard, m.Batch = 0, 0, 0, 0, results.Shard{}, Batch{}
		return m
	}
	if diff := outdir.Diff(loose(*m), loose(*want)); diff != "" {
		return nil, hint.With(fmt.Errorf("the folder holds another capture: %s", diff), "use folders of the same model, prompts and places")
	}
	p := &part{shape: s, batch: m.Batch, prompts: map[int]partRows{}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := p.readRows(dir); err != nil {
		return nil, err
	}
	first := 0
	for number := range p.files {
		f := &p.files[number]
		f.status, err = s.checkFile(dir, number, &file{rows: f.rows, first: first})
		if err != nil {
			return nil, err
		}
		if f.in, err = sidefile.OpenOwn(filepath.Join(dir, vector.ShardName(number)), math.MaxInt64); err != nil {
			return nil, err
		}
		if _, f.values, err = readMeta(f.in); err != nil {
			return nil, err
		}
		first += f.rows
	}
	return p, nil
}

// readRows finds the rows of each prompt.
func (p *part) readRows(dir string) error {
	in, err := sidefile.OpenOwn(filepath.Join(dir, RowsFile), math.MaxInt64)
	if missing(err) {
		return hint.With(fmt.Errorf("no %s in the folder: its capture has not ended", RowsFile), "run the command of that folder again")
	}
	if err != nil {
		return err
	}
	defer in.Close()
	r := parquet.NewGenericReader[Row](in)
	defer r.Close()
	rows := make([]Row, 1024)
	for {
		n, err := r.Read(rows)
		for _, row := range rows[:n] {
			prompt, number := int(row.Prompt), int(row.Shard)
			if number == len(p.files) {
				p.files = append(p.files, partFile{})
			}
			if number != len(p.files)-1 || int(row.Row) != p.files[number].rows {
				return outdir.Damaged("%s: row %d of file %d is out of order", RowsFile, row.Row, number)
			}
			p.files[number].rows++
			place, ok := p.prompts[prompt]
			if !ok {
				place = partRows{number, int(row.Row), 0}
			}
			place.n++
			if p.prompts[prompt] = place; place.first+place.n != p.files[number].rows {
				return outdir.Damaged("%s: the rows of prompt %d do not follow each other", RowsFile, prompt)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return outdir.Damaged("%s: %w", RowsFile, err)
		}
	}
}

// read returns the values of a hook for a prompt, as they are in the file, and the statuses of its rows.
func (p *part) read(index, hook int) ([]byte, []status, error) {
	place := p.prompts[index]
	f := &p.files[place.file]
	at := f.values
	for h := range hook {
		at += int64(f.rows) * p.shape.width(h)
	}
	data := make([]byte, int64(place.n)*p.shape.width(hook))
	if _, err := f.in.ReadAt(data, at+int64(place.first)*p.shape.width(hook)); err != nil {
		return nil, nil, err
	}
	statuses := make([]status, place.n)
	for i := range statuses {
		statuses[i] = status(max(0, slices.Index(statusNames, f.status[place.first+i])))
	}
	return data, statuses, nil
}

func (p *part) close() {
	for _, f := range p.files {
		if f.in != nil {
			f.in.Close()
		}
	}
}
