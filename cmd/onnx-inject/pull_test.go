package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/hub/hubtest"
)

// repositories are the repositories of the scripts' hub: org/small-world with the demo model, org/external with a graph and a
// separate file of weights in the folder onnx, org/no-onnx, org/gated, and org/private, which needs the token hf_good.
var repositories = sync.OnceValues(func() (map[string]map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "onnx-inject-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(demo.WriteTo(dir), os.Mkdir(filepath.Join(dir, "onnx"), 0o777)); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "generation_config.json", "merges.txt", "model.onnx", "tokenizer_config.json", "vocab.json"} {
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	m, err := graph.Load(filepath.Join(dir, "model.onnx"))
	if err != nil {
		return nil, err
	}
	external := map[string][]byte{"README.md": []byte("read me"), "pytorch_model.bin": []byte("code")}
	for name, data := range files {
		if name != "model.onnx" {
			external[name] = data
		}
	}
	saved, err := graph.Save(context.Background(), m, filepath.Join(dir, "onnx", "model.onnx"), graph.Copy, false)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{saved.Path, saved.Data} {
		if external["onnx/"+filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	external["onnx/decoder_with_past_model.onnx"] = files["config.json"]
	return map[string]map[string][]byte{
		"org/small-world": files, "org/external": external, "org/gated": files, "org/private": files, "org/no-onnx": {"config.json": files["config.json"]},
	}, nil
})

func newHub(t testing.TB) *hubtest.Hub {
	t.Helper()
	repos, err := repositories()
	if err != nil {
		t.Fatal(err)
	}
	h := hubtest.New(t)
	for name, files := range repos {
		h.Commit(name, "main", files)
	}
	h.Gated("org/gated")
	h.Private("org/private", "hf_good")
	return h
}

// hub sets how the hub fails from now on, and checks its requests:
//
//	hub cut BYTES     the host of large files ends every response after that many bytes
//	hub damage        every response of that host has a wrong byte
//	hub well          nothing fails
//	hub forget        resets the count of requests
//	hub asked N       fails unless N requests came since the last reset or check
func hubCommand(ts *testscript.TestScript, neg bool, args []string) {
	h := ts.Value("hub").(*hubtest.Hub)
	var n int
	if len(args) == 2 {
		var err error
		n, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	fault := func(wrap func(http.ResponseWriter) http.ResponseWriter) {
		h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
			if "http://"+r.Host == h.CDN {
				h.ServeLarge(wrap(w), r)
			}
			return "http://"+r.Host == h.CDN
		})
	}
	switch args[0] {
	case "cut":
		fault(func(w http.ResponseWriter) http.ResponseWriter { return &cutting{w, n, nil} })
	case "damage":
		fault(func(w http.ResponseWriter) http.ResponseWriter { return damaging{w} })
	case "well":
		h.SetFault(nil)
	case "forget":
		h.Requests()
	case "asked":
		if got := h.Requests(); len(got) != n {
			ts.Fatalf("%d requests, want %d: %+v", len(got), n, got)
		}
	default:
		ts.Fatalf("hub %s?", args[0])
	}
}

// cutting ends a response after some bytes: at once, or when gone is closed.
type cutting struct {
	http.ResponseWriter
	left int
	gone <-chan struct{}
}

func (c *cutting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 {
		http.NewResponseController(c.ResponseWriter).Flush()
		if c.gone != nil {
			<-c.gone
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

type damaging struct{ http.ResponseWriter }

func (d damaging) Write(p []byte) (int, error) {
	q := bytes.Clone(p)
	q[0] ^= 1
	return d.ResponseWriter.Write(q)
}

// A signal ends a pull with the exit code that shells expect. The downloaded bytes are kept, and the same command resumes.
func TestInterruptedPull(t *testing.T) {
	self, err := exec.LookPath("onnx-inject") // TestMain put it first on the PATH
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(t)
	came := make(chan struct{}, 1)
	h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
		if "http://"+r.Host != h.CDN {
			return false
		}
		came <- struct{}{}
		h.ServeLarge(&cutting{w, 2 << 20, r.Context().Done()}, r)
		return true
	})
	home := t.TempDir()
	pull := func() (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
		c := exec.CommandContext(t.Context(), self, "pull", "org/small-world")
		c.Env = append(os.Environ(), "HF_ENDPOINT="+h.URL, "HF_HOME="+home)
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		return c, &out, &errs
	}
	c, out, errs := pull()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-came
	waitForSize(t, filepath.Join(home, "hub", "models--org--small-world", "blobs", "*.incomplete"), 2<<20)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	var exit *exec.ExitError
	want := "onnx-inject: interrupted: 2.1 MB of 5.75 MB have been downloaded\nonnx-inject: hint: run the same command again to resume\n"
	if !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGINT) || errs.String() != want || out.Len() > 0 {
		t.Errorf("%v, stdout %q, stderr %q; want %q", err, out, errs, want)
	}
	h.SetFault(nil)
	ofFile := func(r hubtest.Request) bool { return "http://"+r.Host == h.CDN }
	for end := time.Now().Add(10 * time.Second); !slices.ContainsFunc(h.Requests(), ofFile); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the hub did not notice the end of the interrupted request")
		}
	}
	c, out, errs = pull()
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(out.String()), "model.onnx")); err != nil {
		t.Error(err)
	}
	for _, r := range h.Requests() {
		if "http://"+r.Host == h.CDN && r.Range != "bytes=2097152-" {
			t.Errorf("%+v", r)
		}
	}
}

// waitForSize waits until the only file that matches a pattern has a size.
func waitForSize(t *testing.T, pattern string, size int64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		found, _ := filepath.Glob(pattern)
		if len(found) != 1 {
			continue
		}
		if st, err := os.Stat(found[0]); err == nil && st.Size() == size {
			return
		}
	}
	t.Fatalf("no file %s of %d bytes", pattern, size)
}
