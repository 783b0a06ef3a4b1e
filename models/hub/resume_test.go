package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/hub/hubtest"
)

// cutter ends the first n responses that send a large file after some bytes, without an error.
func cutter(h *hubtest.Hub, n int32, after int) {
	var done atomic.Int32
	h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
		if "http://"+r.Host != h.CDN || done.Add(1) > n {
			return false
		}
		h.ServeLarge(&cutting{w, after}, r)
		return true
	})
}

// cutting cuts the connection after the given number of bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 {
		http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// large returns the requests to the other host for the bytes of a file.
func large(h *hubtest.Hub, requests []hubtest.Request) []hubtest.Request {
	return slices.DeleteFunc(requests, func(r hubtest.Request) bool { return "http://"+r.Host != h.CDN })
}

// An interrupted transfer resumes in the same run, with the ETag of the host that sent the first bytes.
func TestCut(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	const after = 1_000_000
	cutter(h, 3, after)
	p := mustPull(t, c, Request{Repo: world})
	checkFiles(t, p.Folder, files, worldWants...)
	got := large(h, h.Requests())
	if len(got) != 4 {
		t.Fatalf("%d requests: %+v", len(got), got)
	}
	var sent int64
	for i, r := range got {
		sent += r.Sent
		if want := fmt.Sprintf("bytes=%d-", i*after); i > 0 && (r.Range != want || !strings.HasPrefix(r.IfRange, `"of-the-store-`)) {
			t.Errorf("request %d: %+v, want %s", i, r, want)
		}
	}
	if want := int64(len(files["model.onnx"])); sent != want {
		t.Errorf("%d bytes were sent of %d", sent, want)
	}
}

// A run that gave up keeps its part, and the next run requests only the rest.
func TestCutThenResumed(t *testing.T) {
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "plain")} {
		t.Run("dir="+filepath.Base(dir), func(t *testing.T) {
			files := worldFiles(t)
			h, c := newWorld(t, files)
			cutter(h, maxTries, 100_000)
			_, err := c.Pull(t.Context(), Request{Repo: world, Dir: dir})
			if err == nil || !strings.Contains(err.Error(), "model.onnx: the connection was cut at byte 500000 of ") ||
				hint.Of(err) != "run the same command again: it resumes where it stopped" {
				t.Fatalf("got %v (%s)", err, hint.Of(err))
			}
			if dir == "" {
				dir = c.Cache
			}
			if n := countParts(t, dir); n != 1 {
				t.Errorf("%d parts", n)
			}
			h.Requests()
			r := Request{Repo: world}
			if dir != c.Cache {
				r.Dir = dir
			}
			p := mustPull(t, c, r)
			checkFiles(t, p.Folder, files, worldWants...)
			got := large(h, h.Requests())
			if len(got) != 1 || got[0].Range != "bytes=500000-" || got[0].IfRange != "" || got[0].Sent != int64(len(files["model.onnx"])-500_000) {
				t.Errorf("%+v", got)
			}
			if n := countParts(t, dir); n != 0 {
				t.Errorf("%d parts are left", n)
			}
		})
	}
}

// countParts counts the parts below a folder.
func countParts(t testing.TB, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".incomplete") {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// part writes the part of a file of the test repository as an earlier run would have left it.
func part(t testing.TB, h *hubtest.Hub, c *Client, name string, whole, data []byte) string {
	t.Helper()
	path := filepath.Join(c.Cache, "models--org--small-world", "blobs", h.Etag(name, whole)+".incomplete")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whatever an earlier run left, the final file is correct.
func TestParts(t *testing.T) {
	files := worldFiles(t)
	model := files["model.onnx"]
	wrong := slices.Clone(model[:len(model)/2])
	wrong[10] ^= 1
	for _, tt := range []struct {
		name   string
		part   []byte
		ranges []string // Range headers of the requests for the model
	}{
		{"half", model[:1000], []string{"bytes=1000-"}},
		{"whole", model, nil},
		{"too long", append(slices.Clone(model), 'x'), []string{""}},
		{"damaged", wrong, []string{fmt.Sprintf("bytes=%d-", len(wrong)), ""}},
		{"whole and damaged", append(slices.Clone(wrong), model[len(wrong):]...), []string{""}},
		{"empty", nil, []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := newWorld(t, files)
			part(t, h, c, "model.onnx", model, tt.part)
			p := mustPull(t, c, Request{Repo: world})
			checkFiles(t, p.Folder, files, worldWants...)
			var got []string
			for _, r := range large(h, h.Requests()) {
				got = append(got, r.Range)
			}
			if !slices.Equal(got, tt.ranges) {
				t.Errorf("asked for %q, want %q", got, tt.ranges)
			}
		})
	}
}

// Bytes that do not match the hub's checksum never get the file's name, and no part of them remains.
func TestCorrupt(t *testing.T) {
	files := worldFiles(t)
	for _, name := range []string{"model.onnx", "vocab.json"} {
		for _, dir := range []string{"", filepath.Join(t.TempDir(), "plain")} {
			t.Run(name+dir, func(t *testing.T) {
				h, c := newWorld(t, files)
				h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.String(), h.Etag(name, files[name])) && !strings.HasSuffix(r.URL.Path, "/"+name) || r.URL.Query().Get("blobs") != "" {
						return false
					}
					if name == "model.onnx" && "http://"+r.Host == h.URL {
						return false // the redirect
					}
					data := slices.Clone(files[name])
					data[len(data)/2] ^= 1
					w.Write(data)
					return true
				})
				_, err := c.Pull(t.Context(), Request{Repo: world, Dir: dir})
				if !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), name+": wrong checksum: want "+h.Etag(name, files[name])) || hint.Of(err) == "" {
					t.Fatalf("got %v (%s)", err, hint.Of(err))
				}
				root := c.Cache
				if dir != "" {
					root = dir
				}
				err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
					if base := filepath.Base(path); base == name || strings.HasPrefix(base, h.Etag(name, files[name])) && !strings.HasSuffix(base, ".lock") {
						t.Errorf("%s is left", path)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// Servers that answer a range request in unusual ways.
func TestRanges(t *testing.T) {
	files := worldFiles(t)
	model := files["model.onnx"]
	rest := string(model[1000:])
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		err    string
	}{
		{"knows no ranges", func(w http.ResponseWriter) { w.Write(model) }, ""},
		{"416", func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) }, ""},
		{"another range", func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 999-%d/%d", len(model)-1, len(model)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(model[999:])
		}, ""},
		{"another file", func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(model)-1, len(model)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write([]byte(strings.Repeat("x", len(rest))))
		}, ""},
		{"too much", func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(model)-1, len(model)))
			w.WriteHeader(http.StatusPartialContent)
			w.(http.Flusher).Flush() // no Content-Length
			fmt.Fprint(w, rest, "more")
		}, "the server sent more than"},
		{"another size", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(model)-1))
			w.Write(model[:len(model)-1])
		}, "the server has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := newWorld(t, files)
			part(t, h, c, "model.onnx", model, model[:1000])
			var first atomic.Bool
			h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
				if "http://"+r.Host != h.CDN || !first.CompareAndSwap(false, true) {
					return false
				}
				tt.answer(flushing{w})
				return true
			})
			p, err := c.Pull(t.Context(), Request{Repo: world})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkFiles(t, p.Folder, files, worldWants...)
		})
	}
}

type flushing struct{ http.ResponseWriter }

func (f flushing) Flush() { http.NewResponseController(f.ResponseWriter).Flush() }

// A file that changed between two parts is sent whole, because of If-Range.
func TestIfRange(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	var n atomic.Int32
	h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
		if "http://"+r.Host != h.CDN {
			return false
		}
		switch n.Add(1) {
		case 1: // half of other bytes, under another ETag
			w.Header().Set("ETag", `"old"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(files["model.onnx"])))
			w.Write(make([]byte, 1<<20))
			flushing{w}.Flush()
			panic(http.ErrAbortHandler)
		case 2:
			if r.Header.Get("If-Range") != `"old"` {
				t.Errorf("If-Range %q", r.Header.Get("If-Range"))
			}
		}
		return false
	})
	p := mustPull(t, c, Request{Repo: world})
	checkFiles(t, p.Folder, files, worldWants...)
	if got := n.Load(); got != 2 {
		t.Errorf("%d requests", got)
	}
}

// Several concurrent pulls download every file once.
func TestAtOnce(t *testing.T) {
	files := worldFiles(t)
	h, first := newWorld(t, files)
	var wg sync.WaitGroup
	for range 8 {
		c := newClient(t, h)
		c.Cache = first.Cache
		wg.Go(func() {
			p, err := c.Pull(t.Context(), Request{Repo: world})
			if err != nil {
				t.Error(err)
				return
			}
			checkFiles(t, p.Folder, files, worldWants...)
		})
	}
	wg.Wait()
	got := map[string]int{}
	for _, r := range h.Requests() {
		if r.Sent > 0 && r.Path != "" {
			got[r.Path]++
		}
	}
	for name, n := range got {
		if n != 1 {
			t.Errorf("%s was fetched %d times", name, n)
		}
	}
	if len(got) != len(worldWants) {
		t.Errorf("%v", got)
	}
}

// A cancelled pull keeps its part and returns the reason.
func TestCancelled(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	why := errors.New("enough of it")
	ctx, cancel := context.WithCancelCause(t.Context())
	c.Progress = func(p Progress) {
		if p.Done > 1<<20 {
			cancel(why)
		}
	}
	_, err := c.Pull(ctx, Request{Repo: world})
	if !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
	if n := countParts(t, c.Cache); n != 1 {
		t.Errorf("%d parts", n)
	}
	h.Requests()
	c.Progress = nil
	p := mustPull(t, c, Request{Repo: world})
	checkFiles(t, p.Folder, files, worldWants...)
	if got := large(h, h.Requests()); got[len(got)-1].Range == "" { // the first run's request may be logged late
		t.Errorf("%+v", got)
	}
}

// Waiting can be cancelled: for a hub that does not answer, and for the lock of another process.
func TestWaitingCancelled(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	why := errors.New("enough of it")
	lock := filepath.Join(c.Cache, ".locks", "models--org--small-world", h.Etag("model.onnx", files["model.onnx"])+".lock")
	if err := os.MkdirAll(filepath.Dir(lock), 0o777); err != nil {
		t.Fatal(err)
	}
	held := flock.New(lock)
	if err := held.Lock(); err != nil {
		t.Fatal(err)
	}
	var said string
	limit, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	ctx, end := context.WithCancelCause(limit)
	c.Log = func(s string) { said = s; end(why) } // cancelled while it waits, however slow the machine is
	if _, err := c.Pull(ctx, Request{Repo: world}); !errors.Is(err, why) || said != "model.onnx: another process is downloading it; waiting" {
		t.Errorf("got %v, said %q", err, said)
	}
	time.AfterFunc(50*time.Millisecond, func() { held.Unlock() })
	mustPull(t, c, Request{Repo: world})
	cut, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer stop()
	h.SetFault(func(w http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	if _, err := newClient(t, h).Pull(cut, Request{Repo: world}); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
