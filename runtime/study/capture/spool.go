package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
)

// spoolFile collects the batches of the file that is being made. It is removed at the end.
const spoolFile = "spool"

// A record of the spool is one batch:
//
//	uint32 number of the file  uint32 number of the batch  a status byte per row  values  SHA-256 of all this
//
// The values are those of the hooks in turn, and of a hook those of the prompts of the batch in turn. How long a record is,
// the plan says.
const (
	recordHead = 8
	recordTail = sha256.Size
)

// syncEvery is the time between two writes to the disk. A killed process loses nothing that it has written; after a power
// failure the checksums show which records are complete.
const syncEvery = time.Second

// spool is the file that batches are appended to.
type spool struct {
	f      *os.File
	end    int64 // of the complete records
	done   int   // complete records
	synced time.Time
}

// openSpool opens the spool of a file and keeps its complete records. lengths are those of the records, in order.
func openSpool(path string, number int, lengths []int64) (*spool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|sidefile.NoFollow, 0o666)
	if err != nil {
		return nil, &atomicfile.Error{Path: path, Err: err}
	}
	s := &spool{f: f}
	if err := s.recover(number, lengths); err != nil {
		f.Close()
		return nil, &atomicfile.Error{Path: path, Err: err}
	}
	return s, nil
}

// recover counts the complete records of a file and cuts off what follows them. Records of an earlier file, which a crash after
// that file was written leaves, are not complete records of this one.
func (s *spool) recover(number int, lengths []int64) error {
	s.end, s.done = 0, 0
	for batch, n := range lengths {
		h := sha256.New()
		head := make([]byte, recordHead)
		if _, err := s.f.ReadAt(head, s.end); err != nil {
			if err == io.EOF {
				break
			}
			return err
		}
		if !bytes.Equal(head, recordHeader(number, batch)) {
			break
		}
		if _, err := io.Copy(h, io.NewSectionReader(s.f, s.end, n-recordTail)); err != nil {
			return err
		}
		sum := make([]byte, recordTail)
		if _, err := s.f.ReadAt(sum, s.end+n-recordTail); err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(sum, h.Sum(nil)) {
			break
		}
		s.end, s.done = s.end+n, batch+1
	}
	return s.cut()
}

// cut removes what follows the complete records.
func (s *spool) cut() error {
	if err := s.f.Truncate(s.end); err != nil {
		return err
	}
	_, err := s.f.Seek(s.end, io.SeekStart)
	return err
}

func recordHeader(file, batch int) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(file)), uint32(batch))
}

// append adds a record without its checksum, which is computed here.
func (s *spool) append(record []byte) error {
	sum := sha256.Sum256(record)
	n, err := s.f.Write(append(record, sum[:]...))
	if err == nil && time.Since(s.synced) > syncEvery {
		err = s.f.Sync()
		s.synced = time.Now()
	}
	if err != nil {
		return errors.Join(&atomicfile.Error{Path: s.f.Name(), Err: err}, s.cut())
	}
	s.end, s.done = s.end+int64(n), s.done+1
	return nil
}

// empty removes all records.
func (s *spool) empty() error {
	s.end, s.done = 0, 0
	if err := s.cut(); err != nil {
		return &atomicfile.Error{Path: s.f.Name(), Err: err}
	}
	return nil
}

// close syncs and closes the file.
func (s *spool) close() error { return errors.Join(s.f.Sync(), s.f.Close()) }

// remove removes the spool of a finished capture.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &atomicfile.Error{Path: path, Err: err}
	}
	return nil
}
