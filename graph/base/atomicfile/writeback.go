package atomicfile

import "io"

// batch is the number of bytes that one request sends to the disk.
const batch = 8 << 20

// writeBack is the background half of [File.WriteBack].
type writeBack struct {
	asked  int64 // writing of everything before this offset has started
	ranges chan [2]int64
	idle   chan struct{} // closed when no more requests follow
}

// WriteBack states that everything before the file's current position is final. It starts to write these bytes to the disk
// while the caller adds more, because waiting for all of them in [File.Commit] would take as long again. It guarantees
// nothing; Commit reports errors.
func (f *File) WriteBack() {
	e := &f.early
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil || at-e.asked < batch {
		return
	}
	if e.ranges == nil {
		e.ranges, e.idle = make(chan [2]int64, 4), make(chan struct{})
		go func() {
			defer close(e.idle)
			for r := range e.ranges {
				f.startWriting(r[0], r[1])
			}
		}()
	}
	select {
	case e.ranges <- [2]int64{e.asked, at - e.asked}:
		e.asked = at
	default: // the disk is slower: request it with the next call
	}
}

// stop waits until all requests have ended.
func (e *writeBack) stop() {
	if e.ranges != nil {
		close(e.ranges)
		<-e.idle
		e.ranges = nil
	}
}
