package atomicfile

import "io"

// batch is how many bytes are handed to the disk at a time.
const batch = 8 << 20

// writeBack is the background half of [File.WriteBack].
type writeBack struct {
	asked  int64 // everything before this offset is on its way
	ranges chan [2]int64
	idle   chan struct{} // closed when no more is asked for
}

// WriteBack says that everything before the file's current position will stay as it is. It starts on its way to the disk
// while more is added: waiting for all of it in [File.Commit] would take as long again as writing it did. It promises nothing;
// what goes wrong is reported by Commit.
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
	default: // the disk is behind: with the next call
	}
}

// stop waits until nothing is being asked for any more.
func (e *writeBack) stop() {
	if e.ranges != nil {
		close(e.ranges)
		<-e.idle
		e.ranges = nil
	}
}
