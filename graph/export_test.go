package graph

import "os"

// LoadOpen is [Load] for a file that is already open, whose real path is path.
func LoadOpen(f *os.File, path string, size int64) (*Model, error) {
	files := openedBy(&DataFile{Path: path, Real: path, Size: size, f: f})
	m, err := read(files)
	if err != nil {
		files.close()
		return nil, err
	}
	m.path, m.file, m.files, m.whole = path, files.model, files, !m.inlined
	m.warnings()
	return m, nil
}

// CloseData closes the external data files of a model from [LoadOpen], and not the file itself.
func CloseData(m *Model) { m.files.close() }

func (o *openFiles) close() {
	for _, f := range o.data {
		f.close()
	}
}
