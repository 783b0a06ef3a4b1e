package results

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// ErrLocked is wrapped by the error of [Create] when another process writes to the folder.
var ErrLocked = outdir.ErrLocked

// Writer adds prompts to a folder.
type Writer struct {
	Manifest *Manifest // of the folder, if it has one; always set after Begin
	Torn     int64     // bytes after the last commit that Begin removed: an interrupted write

	dir            string
	lock           *outdir.Dir
	done           map[int]bool
	found          *loader      // the results in the folder; nil when there are none
	texts          map[int]bool // of side effects that are done
	cells, prompts *os.File
	side           *os.File // nil without side effects
}

// Create opens a folder for writing, creates it when missing, and locks it. It writes nothing else before [Writer.Begin].
//
// Writing to a folder that already holds results resumes only when its manifest equals want; the plan may differ when want
// leaves it open. Another manifest is refused with an error that lists the differences. Begin removes incomplete writes.
func Create(dir string, want *Manifest) (*Writer, error) {
	w, err := create(dir, want)
	if err != nil {
		return nil, fmt.Errorf("results %q: %w", dir, err)
	}
	return w, nil
}

func create(dir string, want *Manifest) (*Writer, error) {
	d, err := outdir.Open(dir, CellsFile, PromptsFile, SummaryFile, SideEffectsFile)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, lock: d, done: map[int]bool{}, texts: map[int]bool{}, Manifest: want}
	if err := w.resume(want); err != nil {
		d.Close()
		return nil, err
	}
	return w, nil
}

// resume compares the manifest in the folder with want and reads which prompts are done.
func (w *Writer) resume(want *Manifest) error {
	m, _, err := readManifest(w.dir)
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{CellsFile, PromptsFile, SideEffectsFile} {
			if _, err := os.Stat(filepath.Join(w.dir, name)); err == nil {
				return hint.With(fmt.Errorf("found %s but no %s: the folder was not written by this program", name, ManifestFile), "give another folder")
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	if want.Plan.Used == "" {
		plan := *want
		plan.Plan = m.Plan
		want = &plan
	}
	if diff := m.Diff(want); diff != "" {
		return hint.With(fmt.Errorf("the folder holds another evaluation: %s", diff), "give another folder, or the flags with which the folder was created")
	}
	w.Manifest, w.found = m, &loader{ctx: context.Background(), dir: w.dir}
	if err := w.found.load(); err != nil {
		return err
	}
	for _, p := range w.found.run.Prompts {
		w.done[p.Index] = true
	}
	for _, s := range w.found.run.SideEffects {
		w.texts[s.Text] = true
	}
	return nil
}

// Done reports whether a prompt is in the folder.
func (w *Writer) Done(prompt int) bool { return w.done[prompt] }

// Begin writes the manifest with the plan in use and prepares the files: it cuts them to the last commit or creates them.
func (w *Writer) Begin(plan Plan) error {
	m := *w.Manifest
	m.Plan = plan
	if len(w.done)+len(w.texts) == 0 {
		data, err := json.MarshalIndent(&m, "", "  ")
		if err != nil {
			return err
		}
		if err := atomicfile.Write(filepath.Join(w.dir, ManifestFile), outdir.Seal(data), true); err != nil {
			return err
		}
	} else if diff := w.found.run.Manifest.Diff(&m); diff != "" {
		return fmt.Errorf("results %q: prompts belong to another manifest: %s", w.dir, diff)
	}
	w.Manifest = &m
	var cells, prompts, side int64
	if w.found != nil {
		cells, prompts, side = w.found.cells, w.found.prompts, w.found.side
	}
	header := append(slices.Clip(m.promptColumns()), checksumColumn)
	var err error
	if w.cells, err = w.appendTo(filepath.Join(w.dir, CellsFile), cells, m.cellColumns()); err != nil {
		return err
	}
	if w.prompts, err = w.appendTo(filepath.Join(w.dir, PromptsFile), prompts, header); err == nil && m.SideEffects.Texts > 0 {
		w.side, err = w.appendTo(filepath.Join(w.dir, SideEffectsFile), side, sideColumns)
	}
	return err
}

// appendTo opens a file for appending after its first size bytes. A file of size 0 gets a header.
func (w *Writer) appendTo(path string, size int64, header []string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|sidefile.NoFollow, 0o666)
	if err != nil {
		return nil, &atomicfile.Error{Path: path, Err: err}
	}
	if st, err := f.Stat(); err == nil {
		w.Torn += max(0, st.Size()-size)
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, &atomicfile.Error{Path: path, Err: err}
	}
	if _, err := f.Seek(size, 0); err != nil {
		f.Close()
		return nil, &atomicfile.Error{Path: path, Err: err}
	}
	if size == 0 {
		if err := appendBytes(f, csvOf(header)); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// csvOf writes rows as CSV.
func csvOf(rows ...[]string) []byte {
	var b bytes.Buffer
	csv.NewWriter(&b).WriteAll(rows) // writing to a buffer cannot fail
	return b.Bytes()
}

// appendBytes writes to a file and waits until the bytes are on disk.
func appendBytes(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return hint.With(&atomicfile.Error{Path: f.Name(), Err: atomicfile.NoRoom(err, int64(len(data)))}, "the rows so far are safe: run the same command again to resume")
	}
	return nil
}

// Append adds a prompt with its cells. When it returns nil, they are on disk.
func (w *Writer) Append(p Prompt, cells []Cell) error {
	if len(p.Further) != len(w.Manifest.Columns) {
		return fmt.Errorf("prompt %d: want a text for each of the %d further columns, got %d", p.Index, len(w.Manifest.Columns), len(p.Further))
	}
	rows := make([][]string, len(cells))
	for i := range cells {
		rows[i] = cellRow(w.Manifest, &p, &cells[i])
	}
	body, row := csvOf(rows...), csvOf(promptRow(w.Manifest, &p, len(cells)))
	if w.found == nil || !w.found.run.Unsealed {
		row[len(row)-1] = ','
		h := digest(row)
		h.Write(body)
		row = append(append(row, hexSum(h)...), '\n')
	}
	if err := appendBytes(w.cells, body); err != nil {
		return err
	}
	if err := appendBytes(w.prompts, row); err != nil {
		return err
	}
	w.done[p.Index] = true
	return nil
}

// Summary writes summary.json.
func (w *Writer) Summary(summary any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(summary); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(w.dir, SummaryFile), b.Bytes(), true)
}

// Close releases the lock on the folder.
func (w *Writer) Close() error {
	var errs []error
	for _, f := range []*os.File{w.cells, w.prompts, w.side} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(append(errs, w.lock.Close())...)
}
