package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// put makes a folder that is not empty, or a file, at a path of a cache.
func put(t *testing.T, folder bool, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	file := path
	if folder {
		file = filepath.Join(path, "file")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// Something else in the place of a part of the cache is a write error that names it. Nothing of it is removed.
func TestCacheInTheWay(t *testing.T) {
	files := worldFiles(t)
	for _, tt := range []struct {
		name   string
		folder bool
		path   func(repo, commit, etag string) string // below the cache
	}{
		{"a blob is a folder", true, func(repo, _, etag string) string { return repo + "/blobs/" + etag }},
		{"the part of a blob is a folder", true, func(repo, _, etag string) string { return repo + "/blobs/" + etag + ".incomplete" }},
		{"the lock is a folder", true, func(repo, _, etag string) string { return ".locks/" + repo + "/" + etag + ".lock" }},
		{"the blobs are a file", false, func(repo, _, _ string) string { return repo + "/blobs" }},
		{"the snapshots are a file", false, func(repo, _, _ string) string { return repo + "/snapshots" }},
		{"a file of the snapshot is a folder", true, func(repo, commit, _ string) string { return repo + "/snapshots/" + commit + "/model.onnx" }},
		{"the refs are a file", false, func(repo, _, _ string) string { return repo + "/refs" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := newWorld(t, files)
			l, err := c.List(t.Context(), world, "")
			if err != nil {
				t.Fatal(err)
			}
			path := put(t, tt.folder, c.Cache, tt.path("models--org--small-world", l.Commit, h.Etag("model.onnx", files["model.onnx"])))
			_, err = c.Pull(t.Context(), Request{Repo: world})
			var unwritten *atomicfile.Error
			if !errors.As(err, &unwritten) || !strings.HasPrefix(unwritten.Path, path) {
				t.Errorf("got %v, want a write error of %s", err, path)
			}
			if tt.folder {
				path = filepath.Join(path, "file")
			}
			if data, err := os.ReadFile(path); string(data) != "x" {
				t.Errorf("what was there is %q, %v", data, err)
			}
		})
	}
}

// A plain folder is not changed where something else has the place of a file.
func TestFolderInTheWay(t *testing.T) {
	files := externalFiles(t)
	for _, tt := range []struct {
		name   string
		folder bool
		path   string
		want   string
	}{
		{"a file is a folder", true, "config.json", "config.json: is a folder"},
		{"a folder is a file", false, "onnx", "not a directory"},
	} {
		_, c := newWorld(t, files)
		dir := t.TempDir()
		put(t, tt.folder, dir, tt.path)
		_, err := c.Pull(t.Context(), Request{Repo: world, File: "onnx/model.onnx", Dir: dir, Force: true})
		if !errors.As(err, new(*atomicfile.Error)) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

// A link of the snapshot that leads elsewhere is replaced.
func TestWrongLink(t *testing.T) {
	files := worldFiles(t)
	_, c := newWorld(t, files)
	p := mustPull(t, c, Request{Repo: world})
	link := filepath.Join(p.Folder, "config.json")
	want, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(filepath.Join(t.TempDir(), "nothing"), link)); err != nil {
		t.Fatal(err)
	}
	again := mustPull(t, c, Request{Repo: world})
	checkFiles(t, again.Folder, files, worldWants...)
	if to, err := os.Readlink(link); to != want {
		t.Errorf("the link leads to %q (%v), want %q", to, err, want)
	}
}

// Offline, a cache that says nothing about a revision is an error, and what is damaged is not used.
func TestOfflineDamaged(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	p := mustPull(t, c, Request{Repo: world})
	c.Offline = true
	h.Requests()
	repo := filepath.Join(c.Cache, "models--org--small-world")

	// A link whose blob is gone is no file.
	if err := os.Remove(filepath.Join(repo, "blobs", h.Etag("vocab.json", files["vocab.json"]))); err != nil {
		t.Fatal(err)
	}
	l, err := c.List(t.Context(), world, "")
	if _, found := l.Find("vocab.json"); err != nil || found || len(l.Files) != len(worldWants)-1 {
		t.Errorf("%+v, %v", l, err)
	}

	// Systems without links have the file itself in the snapshot. Its checksum is that of its bytes.
	config := filepath.Join(p.Folder, "config.json")
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, files["config.json"], 0o666); err != nil {
		t.Fatal(err)
	}
	mustPull(t, c, Request{Repo: world, Dir: t.TempDir()})

	// Bytes that changed on the disk have a wrong checksum.
	damage(t, filepath.Join(repo, "blobs", h.Etag("merges.txt", files["merges.txt"])))
	dir := t.TempDir()
	_, err = c.Pull(t.Context(), Request{Repo: world, Dir: dir})
	if !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), "merges.txt") {
		t.Errorf("got %v, want a wrong checksum of merges.txt", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "merges.txt")); err == nil {
		t.Error("the damaged file was kept")
	}

	for _, ref := range []string{"main", strings.Repeat("g", 40)} {
		if err := os.WriteFile(filepath.Join(repo, "refs", "main"), []byte(ref), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := c.List(t.Context(), world, ""); err == nil || !strings.Contains(err.Error(), "want a commit, got \""+ref+"\"") {
			t.Errorf("ref %q: got %v", ref, err)
		}
	}
	if _, err := c.List(t.Context(), world, strings.Repeat("a", 40)); err == nil || !strings.Contains(err.Error(), "is not in the cache") {
		t.Errorf("another commit: got %v", err)
	}
	if _, err := c.ask(t.Context(), http.MethodGet, h.URL, nil); !errors.Is(err, errOffline) {
		t.Errorf("a request of an offline client: %v", err)
	}
	if got := h.Requests(); len(got) != 0 {
		t.Errorf("requests: %+v", got)
	}
}

// faultOn answers requests of a file with the given method; the hub answers the others.
func faultOn(method, name string, answer func(w http.ResponseWriter, r *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasSuffix(r.URL.Path, name) {
			return false
		}
		answer(w, r)
		return true
	}
}

// What a hub answers about a file must fit what was requested.
func TestWrongAnswers(t *testing.T) {
	files := worldFiles(t)
	sum := strings.Repeat("ab", 32)
	for _, tt := range []struct {
		name, method string
		header       []string // of the answer about config.json, and its values
		status       int
		err          string
	}{
		{"another commit", "GET", []string{"X-Repo-Commit", strings.Repeat("0", 40)}, 200, "requested commit "},
		{"an unknown answer", "GET", nil, 418, "answered 418 I'm a teapot"},
		{"a long message", "GET", []string{"X-Error-Message", strings.Repeat("m", 1000)}, 418, ": " + strings.Repeat("m", 200) + "…"},
		{"no checksum", "HEAD", []string{"ETag", `"weak"`}, 200, `the hub sent no checksum: ETag "weak"`},
		{"no size", "HEAD", []string{"X-Linked-Etag", sum, "X-Linked-Size", "many"}, 302, `the hub sent no size: "many"`},
		{"an impossible size", "HEAD", []string{"X-Linked-Etag", sum, "X-Linked-Size", "-5"}, 302, "impossible size -5"},
		{"refused", "HEAD", nil, 403, "access is restricted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := newWorld(t, files)
			if tt.method == "HEAD" {
				h.Bare(world)
			}
			h.SetFault(faultOn(tt.method, "/config.json", func(w http.ResponseWriter, r *http.Request) {
				for i := 0; i < len(tt.header); i += 2 {
					w.Header().Set(tt.header[i], tt.header[i+1])
				}
				w.WriteHeader(tt.status)
			}))
			_, err := c.Pull(t.Context(), Request{Repo: world})
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "config.json") {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

// A list or a file that ends before its end is requested again, also when no length was announced.
func TestCutAnswers(t *testing.T) {
	files := worldFiles(t)
	for _, name := range []string{"/revision/main", "/config.json"} {
		h, c := newWorld(t, files)
		var cut atomic.Int32
		h.SetFault(faultOn("GET", name, func(w http.ResponseWriter, r *http.Request) {
			if cut.Add(1) > 1 {
				h.SetFault(nil)
			}
			if name == "/config.json" {
				w.Write(files["config.json"][:10])
				http.NewResponseController(w).Flush() // so that no length is sent
				return
			}
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte("{"))
		}))
		p := mustPull(t, c, Request{Repo: world})
		checkFiles(t, p.Folder, files, worldWants...)
		if n := cut.Load(); n != 2 {
			t.Errorf("%s was cut %d times, want 2", name, n)
		}
	}
}

// A pull that is cancelled while it waits for the next try ends with the reason.
func TestCancelledBetweenTries(t *testing.T) {
	h, c := newWorld(t, worldFiles(t))
	why := errors.New("enough of it")
	ctx, cancel := context.WithCancelCause(t.Context())
	c.pause = func(ctx context.Context, d time.Duration) error { cancel(why); return pause(ctx, d) }
	h.SetFault(func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
	if _, err := c.Pull(ctx, Request{Repo: world}); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	h.SetFault(nil)
	h.Bare(world)
	h.SetFault(faultOn("HEAD", "", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel = context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if _, err := c.Pull(ctx, Request{Repo: world}); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

// A message names a few of many files.
func TestManyFiles(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range strings.Split("abcdefghijkl", "") {
		files[name+"/model.onnx"] = []byte("x")
	}
	_, c := newWorld(t, files)
	_, err := c.Pull(t.Context(), Request{Repo: world})
	if err == nil || !strings.Contains(err.Error(), "h/model.onnx, and 4 more") || strings.Contains(err.Error(), "i/model.onnx") || hint.Of(err) == "" {
		t.Errorf("got %v (%s)", err, hint.Of(err))
	}
}

// Without a home, the folder of the cache must be given.
func TestNoHome(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "") // on Windows
	if c, err := FromEnv(func(string) string { return "" }); err == nil || !strings.Contains(hint.Of(err), "HF_HOME") {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := FromEnv(func(name string) string { return map[string]string{"HF_HOME": "/hf"}[name] }); err != nil {
		t.Errorf("with HF_HOME: %v", err)
	}
}
