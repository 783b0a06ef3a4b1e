package hub

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

// cache is the part of the hub's cache that belongs to one commit; doc.go shows its layout.
type cache struct {
	l       *Listing
	dir     string // the whole cache
	name    string // models--org--name
	symlink func(target, name string) error
}

func (c *Client) cacheOf(l *Listing) *cache {
	return &cache{l, c.Cache, "models--" + strings.ReplaceAll(l.Repo, "/", "--"), c.symlink}
}

func (c *cache) repo(parts ...string) string {
	return filepath.Join(append([]string{c.dir, c.name}, parts...)...)
}

func (c *cache) root() string       { return c.repo("snapshots", c.l.Commit) }
func (c *cache) room() string       { return c.repo("blobs") }
func (c *cache) path(f File) string { return filepath.Join(c.root(), filepath.FromSlash(f.Name)) }
func (c *cache) blob(f File) string { return c.repo("blobs", f.Etag()) }
func (c *cache) part(f File) string { return c.blob(f) + ".incomplete" }
func (c *cache) lockFile(f File) string {
	return filepath.Join(c.dir, ".locks", c.name, f.Etag()+".lock")
}
func (c *cache) ref() string { return c.repo("refs", filepath.FromSlash(c.l.Revision)) }

// find returns the path of the bytes of a file, "" when they are absent. They were verified on arrival; a wrong size shows
// that they have changed since.
func (c *cache) find(f File) string {
	for _, path := range []string{c.path(f), c.blob(f)} {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Size() == f.Size {
			return path
		}
	}
	return ""
}

// have finds a file in the snapshot, or adds it when another commit or repository has downloaded the bytes.
func (c *cache) have(f File) (bool, error) {
	switch c.find(f) {
	case "":
		return false, nil
	case c.path(f):
		return true, nil
	}
	return true, c.link(f, false)
}

func (c *cache) keep(f File) error {
	if err := atomicfile.Move(c.part(f), c.blob(f)); err != nil {
		return err
	}
	return c.link(f, true)
}

// link puts a blob into the snapshot. On systems without links, a new blob is moved there. An old blob is copied, because
// another snapshot may need it. The hub's client does the same.
func (c *cache) link(f File, fresh bool) error {
	name := c.path(f)
	if err := makeDirs(filepath.Dir(name)); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(name), c.blob(f))
	if err != nil {
		return err
	}
	err = c.symlink(target, name)
	if errors.Is(err, fs.ErrExist) {
		if now, rerr := os.Readlink(name); rerr == nil && now == target {
			return nil // another process was faster
		}
		if err := os.Remove(name); err != nil { // the existing link is broken or leads to a file of the wrong size
			return unwritten(name, err)
		}
		err = c.symlink(target, name)
	}
	switch {
	case err == nil:
		return nil
	case fresh:
		return atomicfile.Move(c.blob(f), name)
	}
	return copyFile(c.blob(f), name)
}

func makeSymlink(target, name string) error { return os.Symlink(target, name) }

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := atomicfile.Create(to, true)
	if err != nil {
		return err
	}
	defer out.Abort()
	if _, err := io.Copy(out, in); err != nil {
		return unwritten(to, err)
	}
	return out.Commit()
}

// finish records the commit of the revision. When nothing was downloaded, a cache that cannot be written is not an error.
func (c *cache) finish(fetched bool) error {
	if c.l.Revision == c.l.Commit {
		return nil
	}
	if now, err := os.ReadFile(c.ref()); err == nil && string(now) == c.l.Commit {
		return nil
	}
	err := makeDirs(filepath.Dir(c.ref()))
	if err == nil {
		err = atomicfile.Write(c.ref(), []byte(c.l.Commit), true)
	}
	if !fetched {
		return nil
	}
	return err
}

// listCache fills a listing with the cached files of the revision.
func (c *Client) listCache(l *Listing) error {
	k := c.cacheOf(l)
	l.Commit = l.Revision
	if !isHex(l.Commit, 40) {
		ref, err := os.ReadFile(k.ref())
		if err != nil {
			return fmt.Errorf("revision %q is not in the cache %s", l.Revision, c.Cache)
		}
		if l.Commit = strings.TrimSpace(string(ref)); !isHex(l.Commit, 40) {
			return fmt.Errorf("%s: want a commit, got %q", k.ref(), ref)
		}
	}
	err := filepath.WalkDir(k.root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() {
			return nil // a link whose blob is missing
		}
		rel, err := filepath.Rel(k.root(), path)
		if err != nil {
			return err
		}
		f := File{Name: filepath.ToSlash(rel), Size: st.Size()}
		if to, err := os.Readlink(path); err == nil {
			switch etag := filepath.Base(to); {
			case isHex(etag, 64):
				f.SHA256 = etag
			case isHex(etag, 40):
				f.Blob = etag
			}
		}
		l.Files = append(l.Files, f)
		return nil
	})
	if err != nil || len(l.Files) == 0 {
		return fmt.Errorf("commit %s is not in the cache %s", l.Commit, c.Cache)
	}
	return nil
}
