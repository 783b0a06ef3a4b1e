package atomicfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// holding says whether a process holds a temporary file.
type holding int

const (
	cannotTell    holding = iota
	held                  // by this call
	heldByAnother         // a process that is alive
)

// staleAfter is the age after which a temporary file is removed when nothing else shows that its process is gone: far longer
// than any write.
const staleAfter = 24 * time.Hour

// temporary creates a temporary file in a folder and holds it, so that the sweep of another process leaves it alone. holder is
// nil where files cannot be held.
func temporary(dir string) (f, holder *os.File, err error) {
	for {
		// os.CreateTemp would create a file that other users cannot read. This mode follows the user's umask, as for any other
		// file.
		name := filepath.Join(dir, Prefix+thisHost()+rand.Text()+".tmp")
		if f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
			return nil, nil, err
		}
		var state holding
		holder, state = hold(name)
		if _, err := os.Lstat(name); err == nil && state != heldByAnother {
			return f, holder, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Close()
			return nil, nil, err
		}
		// A sweep saw the file before it was held.
		f.Close()
		if holder != nil {
			holder.Close()
		}
	}
}

// thisHost begins the names of this machine's temporary files: on a shared folder, locks of other machines may not be seen.
func thisHost() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4]) + "-"
}

// sweep removes the temporary files of killed runs.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), Prefix) || !strings.HasSuffix(e.Name(), ".tmp") || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if st, err := e.Info(); err == nil && time.Since(st.ModTime()) > staleAfter {
			os.Remove(path)
		} else {
			removeAbandoned(path)
		}
	}
}

// removeAbandoned removes a temporary file of this machine that no process holds. It holds the file meanwhile: a process that
// has just created it and comes to hold it sees that it is gone.
func removeAbandoned(path string) {
	if host := thisHost(); host == "" || !strings.HasPrefix(filepath.Base(path), Prefix+host) {
		return
	}
	if f, state := hold(path); state == held {
		os.Remove(path)
		f.Close()
	}
}
