package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// newSum starts the checksum that is the file's etag: the SHA-256 of its bytes, or git's SHA-1 of a blob, which includes a
// header with the size.
func (f File) newSum() hash.Hash {
	if f.SHA256 != "" {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", f.Size)
	return h
}

// matches compares the checksum of all bytes with the one from the hub.
func (f File) matches(h hash.Hash) error {
	if got := hex.EncodeToString(h.Sum(nil)); got != f.Etag() {
		return fmt.Errorf("%w: want %s, got %s", ErrChecksum, f.Etag(), got)
	}
	return nil
}

// verify compares a file on disk with the checksum from the hub.
func (f File) verify(path string) error {
	h := f.newSum()
	if err := readInto(h, path); err != nil {
		return err
	}
	return f.matches(h)
}

// sha256Of computes the checksum of a file whose name does not contain it.
func sha256Of(path string) (string, error) {
	h := sha256.New()
	err := readInto(h, path)
	return hex.EncodeToString(h.Sum(nil)), err
}

func readInto(h hash.Hash, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(h, in)
	return err
}
