package hub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

// On systems without links, a downloaded file is stored in the snapshot itself, and files of another snapshot are copied.
func TestNoLinks(t *testing.T) {
	files := externalFiles(t)
	h, c := newWorld(t, files)
	r := Request{Repo: world, File: "onnx/model.onnx"}
	linked := mustPull(t, c, r) // blobs, from a run with links
	changed := externalFiles(t)
	changed["config.json"] = append(changed["config.json"], '\n')
	h.Commit(world, "main", changed)
	c.symlink = func(_, name string) error { return &os.LinkError{Op: "symlink", New: name, Err: errors.ErrUnsupported} }
	p := mustPull(t, c, r)
	var want []string
	for _, f := range p.Files {
		want = append(want, f.Name)
		if st, err := os.Lstat(filepath.Join(p.Folder, f.Name)); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%s is not a plain file: %v", f.Name, err)
		}
		if f.Fetched != (f.Name == "config.json") {
			t.Errorf("%s: fetched %v", f.Name, f.Fetched)
		}
	}
	checkFiles(t, p.Folder, changed, want...)
	checkFiles(t, linked.Folder, files, want...)
	h.Requests()
	mustPull(t, c, r)
	if got := h.Requests(); len(got) != 1 {
		t.Errorf("requests: %+v", got)
	}
	// Offline, the name of such a file does not contain its checksum, but the file is still found.
	c.Offline = true
	mustPull(t, c, r)
	mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx", Dir: t.TempDir()})
}

// Broken links and truncated blobs are repaired.
func TestRepaired(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	p := mustPull(t, c, Request{Repo: world})
	blob := func(name string) string {
		return filepath.Join(c.Cache, "models--org--small-world", "blobs", h.Etag(name, files[name]))
	}
	if err := errors.Join(os.Remove(blob("merges.txt")), os.Truncate(blob("vocab.json"), 100), os.Remove(filepath.Join(p.Folder, "config.json"))); err != nil {
		t.Fatal(err)
	}
	again := mustPull(t, c, Request{Repo: world})
	checkFiles(t, again.Folder, files, worldWants...)
	for _, f := range again.Files {
		if f.Fetched != (f.Name == "merges.txt" || f.Name == "vocab.json") {
			t.Errorf("%s: fetched %v", f.Name, f.Fetched)
		}
	}
}

// A cache that cannot be written causes a write error.
func TestNoCache(t *testing.T) {
	h, c := newWorld(t, worldFiles(t))
	c.Cache = filepath.Join(t.TempDir(), "file", "cache")
	if err := os.WriteFile(filepath.Dir(c.Cache), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := c.Pull(t.Context(), Request{Repo: world})
	if !errors.As(err, new(*atomicfile.Error)) || len(h.Requests()) != 1 {
		t.Errorf("got %v", err)
	}
}

// When all files are present, the cache need not be writable.
func TestReadOnly(t *testing.T) {
	_, c := newWorld(t, worldFiles(t))
	mustPull(t, c, Request{Repo: world})
	refs := filepath.Join(c.Cache, "models--org--small-world", "refs")
	if err := errors.Join(os.RemoveAll(refs), os.WriteFile(refs, nil, 0o444)); err != nil { // not even root writes below a file
		t.Fatal(err)
	}
	mustPull(t, c, Request{Repo: world})
}

func TestCheckRepo(t *testing.T) {
	for _, good := range []string{"gpt2", "openai-community/gpt2", "a/b.c_d-e", "_/x", "Foo-BAR_foo.bar123"} {
		if err := CheckRepo(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a/b/c", "../x", "a/..", ".", "a..b", "a--b", "a b", "a\\b", "x.git", "-a", "a.", "a/b\n", "ä", "a?b", "a%2fb", "https://x/y",
		strings.Repeat("a", 97)} {
		if CheckRepo(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestRevisions(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	h.Commit(world, "refs/pr/1", files)
	p := mustPull(t, c, Request{Repo: world, Revision: "refs/pr/1"})
	if ref, err := os.ReadFile(filepath.Join(c.Cache, "models--org--small-world", "refs", "refs", "pr", "1")); err != nil || string(ref) != p.Commit {
		t.Errorf("%q, %v", ref, err)
	}
	for _, bad := range []string{"..", "../../x", "/main", "a\\b", "a\nb", "a//b"} {
		if _, err := c.Pull(t.Context(), Request{Repo: world, Revision: bad}); err == nil || !strings.Contains(err.Error(), "want a branch") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
