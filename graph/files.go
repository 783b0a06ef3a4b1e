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

// openFiles are the files that a model reads from. Its clones share them; who is last closes them.
type openFiles struct {
	model *DataFile            // not open itself for a model of text
	data  map[string]*DataFile // external data files, by location
	users atomic.Int32         // models that are not closed
}

// openedBy returns the files of a model file before its external data is met. The caller is the first user.
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

// Close says that the weights are not read any more. Files are closed once all models are that read them: this one and
// its clones. After that a large tensor cannot be read, nor be written other than as a reference.
// The rest of the model can still be looked at and edited. Closing again does nothing.
//
// A model that is never closed keeps its files open until it is garbage. Windows does not let go of a file before.
func (m *Model) Close() error {
	if m.closed || m.files == nil {
		return nil
	}
	m.closed = true
	return m.files.release()
}

// open opens an external data file of the model, each once. A file must lie, symbolic links resolved, under the model's
// folder or under the folder of the model's own link target (the layout of the Hugging Face hub cache): the rule of ONNX
// Runtime 1.24.2 and later. The store that newer hub clients share between repositories counts as one folder.
func (o *openFiles) open(loc string) (*DataFile, error) {
	if f, ok := o.data[loc]; ok {
		return f, nil
	}
	if len(o.data) >= 1024 {
		return nil, fmt.Errorf("external data: more than 1024 files")
	}
	model := o.model
	path := filepath.Join(filepath.Dir(model.Path), filepath.FromSlash(loc))
	real, err := resolve(path)
	if os.IsNotExist(err) {
		return nil, hint.With(fmt.Errorf("external data file %s is missing", path), "download it beside the model: the weights lie there")
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
				return nil, fmt.Errorf("external data file %s lies outside the model's folder", path)
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
