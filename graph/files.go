package graph

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// openFiles are the files that a model reads from. Its clones share them, and the last user closes them.
type openFiles struct {
	model *DataFile            // not open for a model parsed from text
	data  map[string]*DataFile // external data files, by location
	users atomic.Int32         // models that are not closed yet
}

// openedBy returns the files of a model file before any external data is read. The caller is the first user.
func openedBy(model *DataFile) *openFiles {
	o := &openFiles{model: model, data: map[string]*DataFile{}}
	o.users.Add(1)
	return o
}

// release closes the files if no other model needs them.
func (o *openFiles) release() error {
	if o.users.Add(-1) > 0 {
		return nil
	}
	err := o.model.close()
	for _, f := range o.data {
		err = errors.Join(err, f.close())
	}
	return err
}

// Close declares that the model's weights are no longer read. Files are closed once every model that reads them is closed:
// this one and its clones. After that, a large tensor cannot be read, and can be written only as a reference. The rest of
// the model can still be inspected and edited. Closing again does nothing.
//
// The files of a model that is never closed stay open until it is garbage collected. Until then, Windows does not allow
// them to be replaced.
func (m *Model) Close() error {
	if m.closed || m.files == nil {
		return nil
	}
	m.closed = true
	return m.files.release()
}

// open opens an external data file of the model, each file once. With symbolic links resolved, a file must be under the
// model's folder or under the folder of the model's own link target (the layout of the Hugging Face hub cache). This is the
// rule of ONNX Runtime 1.24.2 and later. The store that newer hub clients share between repositories counts as one folder.
func (o *openFiles) open(loc string) (*DataFile, error) {
	if f, ok := o.data[loc]; ok {
		return f, nil
	}
	if len(o.data) >= maxDataFiles {
		return nil, hint.With(fmt.Errorf("external data: more than %d files, the next is %q", maxDataFiles, loc), "store the weights in fewer files, such as one per model")
	}
	model := o.model
	path := filepath.Join(filepath.Dir(model.Path), filepath.FromSlash(loc))
	real, err := resolve(path)
	if os.IsNotExist(err) {
		return nil, hint.With(fmt.Errorf("external data file %s is missing", path), "it holds the weights: download it into the model's folder")
	} else if err != nil {
		return nil, fmt.Errorf("external data file %s: %w", path, err)
	}
	dir, err := resolve(filepath.Dir(model.Path))
	if err != nil {
		return nil, err
	}
	if !under(real, dir) {
		if dir = filepath.Dir(model.Real); !under(real, dir) {
			if dir = sharedStore(model.Real); dir == "" || !under(real, dir) {
				return nil, fmt.Errorf("external data file %s is outside the model's folder", path)
			}
		}
	}
	f, err := openUnder(dir, real, path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, fmt.Errorf("external data file %s: %w", path, err)
	}
	o.data[loc] = f
	return f, nil
}
