package results

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// ErrLocked is wrapped by the error of [Create] when another process writes to the folder.
var ErrLocked = errors.New("locked")

// Writer adds prompts to a folder.
type Writer struct {
	Manifest *Manifest // of the folder, if it has one; always set after Begin

	dir            string
	lock           *flock.Flock
	done           map[int]bool
	began          bool
	cells, prompts *os.File
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
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, &atomicfile.Error{Path: dir, Err: err}
	}
	w := &Writer{dir: dir, done: map[int]bool{}, Manifest: want}
	w.lock = flock.New(filepath.Join(dir, lockFile), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	ok, err := w.lock.TryLock()
	switch {
	case err != nil:
		return nil, &atomicfile.Error{Path: filepath.Join(dir, lockFile), Err: err}
	case !ok:
		owner, _ := os.ReadFile(filepath.Join(dir, lockFile))
		return nil, hint.With(fmt.Errorf("%w: %s is writing to the folder", ErrLocked, process(owner)), "wait until it ends, or give another folder")
	}
	if err := w.resume(want); err != nil {
		w.lock.Unlock()
		return nil, err
	}
	// The error above names this process number; the lock itself is the open file.
	os.WriteFile(filepath.Join(dir, lockFile), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o666)
	return w, nil
}

func process(owner []byte) string {
	if owner = bytes.TrimSpace(owner); len(owner) > 0 {
		return "process " + string(owner)
	}
	return "another process"
}

// resume compares the manifest in the folder with want and reads which prompts are done.
func (w *Writer) resume(want *Manifest) error {
	m, err := readManifest(w.dir)
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{CellsFile, PromptsFile} {
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
		return hint.With(fmt.Errorf("the folder holds another evaluation:\n%s", diff), "give another folder, or the flags with which the folder was created")
	}
	w.Manifest = m
	r, err := load(w.dir)
	if err != nil {
		return err
	}
	for _, p := range r.Prompts {
		w.done[p.Index] = true
	}
	return nil
}

// Done reports whether a prompt is in the folder.
func (w *Writer) Done(prompt int) bool { return w.done[prompt] }

// Begin writes the manifest with the plan in use and prepares the files: it cuts them to the last commit or creates them.
func (w *Writer) Begin(plan Plan) error {
	m := *w.Manifest
	m.Plan = plan
	w.Manifest = &m
	data, err := json.MarshalIndent(w.Manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(w.dir, ManifestFile), append(data, '\n'), true); err != nil {
		return err
	}
	cells, prompts, err := w.committed()
	if err != nil {
		return fmt.Errorf("results %q: %w", w.dir, err)
	}
	if w.cells, err = appendTo(filepath.Join(w.dir, CellsFile), cells, cellColumns); err != nil {
		return err
	}
	w.prompts, err = appendTo(filepath.Join(w.dir, PromptsFile), prompts, promptColumns)
	w.began = err == nil
	return err
}

// committed returns the number of committed bytes of cells.csv and prompts.csv.
func (w *Writer) committed() (cells, prompts int64, err error) {
	n := 0
	prompts, err = scan(filepath.Join(w.dir, PromptsFile), promptColumns, func(r *row, _ int64) error {
		n += r.int("cells")
		return r.err
	})
	if err != nil {
		return 0, 0, err
	}
	cells, err = scan(filepath.Join(w.dir, CellsFile), cellColumns, func(*row, int64) error {
		if n == 0 {
			return errStop
		}
		n--
		return nil
	})
	return cells, prompts, err
}

// appendTo opens a file for appending after its first size bytes. A file of size 0 gets a header.
func appendTo(path string, size int64, header []string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, &atomicfile.Error{Path: path, Err: err}
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
		if err := appendRows(f, [][]string{header}); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// appendRows writes rows and waits until they are on disk.
func appendRows(f *os.File, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.WriteAll(rows) // writing to a buffer cannot fail
	_, err := f.Write(b.Bytes())
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return &atomicfile.Error{Path: f.Name(), Err: err}
	}
	return nil
}

// Append adds a prompt with its cells. When it returns nil, they are on disk.
func (w *Writer) Append(p Prompt, cells []Cell) error {
	rows := make([][]string, len(cells))
	for i := range cells {
		rows[i] = cellRow(w.Manifest, &p, &cells[i])
	}
	if err := appendRows(w.cells, rows); err != nil {
		return err
	}
	if err := appendRows(w.prompts, [][]string{promptRow(&p, len(cells))}); err != nil {
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
	for _, f := range []*os.File{w.cells, w.prompts} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(append(errs, w.lock.Unlock())...)
}
