package sidefile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
)

// A download can leave something else in place of a file: a pointer of Git LFS, which a clone without git-lfs writes, and a web
// page, which the address of a file's page gives.
var (
	errPointer = errors.New("this is a Git LFS pointer, not the file itself: download the file with git lfs pull in the clone, or the model with onnx-inject pull REPO")
	errPage    = errors.New("this is a web page, not the file itself: download the file, whose address has /resolve/ or /raw/ in place of /blob/, or the model with onnx-inject pull REPO")

	pointer = []byte("version https://git-lfs.")
	pages   = [][]byte{[]byte("<!doctype html"), []byte("<html")} // in lower case
	bom     = []byte("\ufeff")
)

// Downloaded returns an error if a file is what a failed download leaves in place of one. It reads the start of the file and moves
// no position. No model, weights, JSON or table begins like a pointer or a page; the texts of a .txt file can be the source of a page.
// An error of reading is left to the caller's own reads.
func Downloaded(name string, r io.ReaderAt) error {
	head := make([]byte, 64)
	n, _ := r.ReadAt(head, 0)
	head = head[:n]
	if bytes.HasPrefix(head, pointer) {
		return errPointer
	}
	start := bytes.ToLower(bytes.TrimSpace(bytes.TrimPrefix(head, bom)))
	for _, p := range pages {
		if bytes.HasPrefix(start, p) && filepath.Ext(name) != ".txt" {
			return errPage
		}
	}
	return nil
}

// downloaded is [Downloaded] with an error like those of package os.
func downloaded(name string, r io.ReaderAt) error {
	if err := Downloaded(name, r); err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return nil
}
