package hub

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/hub/hubtest"
)

// Refusals of the hub are reported in the user's terms, with advice.
func TestRefused(t *testing.T) {
	files := worldFiles(t)
	for _, tt := range []struct {
		name      string
		prepare   func(*hubtest.Hub, *Client)
		request   Request
		err, hint string // parts of them
	}{
		{"no such repository", nil, Request{Repo: "org/nothing"}, "list org/nothing: no such repository, or a private one: ", "check the name; a private model requires a token in HF_TOKEN"},
		{"no such repository, with a token", func(_ *hubtest.Hub, c *Client) { c.Token = "hf_x" }, Request{Repo: "org/nothing"},
			"no such repository, or a private one: ", "check the name"},
		{"no such revision", nil, Request{Repo: world, Revision: "v9"}, `no revision "v9": `, "--revision"},
		{"no such file", nil, Request{Repo: world, File: "onnx/model.onnx"}, `no file "onnx/model.onnx" in the repository`, "it has model.onnx, onnx/decoder_with_past_model.onnx"},
		{"no ONNX name", nil, Request{Repo: world, File: "pytorch_model.bin"}, `"pytorch_model.bin" is neither an .onnx file nor a folder that has one`, "--list"},
		{"private", func(h *hubtest.Hub, _ *Client) { h.Private(world, "hf_good") }, Request{Repo: world}, "no such repository, or a private one", "HF_TOKEN"},
		{"private, wrong token", func(h *hubtest.Hub, c *Client) { h.Private(world, "hf_good"); c.Token = "hf_bad" }, Request{Repo: world},
			"no such repository, or the token gives no access to it: ", "the token in HF_TOKEN"},
		{"gated", func(h *hubtest.Hub, c *Client) { h.Gated(world); c.Token = "hf_x" }, Request{Repo: world}, "pull org/small-world: access is restricted: ", "request access on the model's page"},
		{"a file that is gone", func(h *hubtest.Hub, _ *Client) {
			h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/config.json") {
					return false
				}
				w.Header().Set("X-Error-Code", "EntryNotFound")
				w.WriteHeader(http.StatusNotFound)
				return true
			})
		}, Request{Repo: world}, "config.json", ""},
		{"no server", func(_ *hubtest.Hub, c *Client) { c.Endpoint = "http://127.0.0.1:1" }, Request{Repo: world}, "cannot be reached", "check the network and HF_ENDPOINT"},
		{"a sign-in page", func(h *hubtest.Hub, _ *Client) {
			h.SetFault(func(w http.ResponseWriter, r *http.Request) bool { w.Write([]byte("<html>Welcome")); return true })
		}, Request{Repo: world}, "the answer is not a list of files", "a proxy"},
		{"unwell", func(h *hubtest.Hub, _ *Client) {
			h.SetFault(func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
		}, Request{Repo: world}, "answered 502 Bad Gateway", "run the same command again later"},
		{"too many requests", func(h *hubtest.Hub, _ *Client) {
			h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			})
		}, Request{Repo: world}, "answered 429 Too Many Requests", "with a token in HF_TOKEN the hub allows more"},
		{"redirect loop", func(h *hubtest.Hub, _ *Client) {
			h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, r.URL.String(), http.StatusFound)
				return true
			})
		}, Request{Repo: world}, "more than 10 redirects", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := newWorld(t, files)
			if tt.prepare != nil {
				tt.prepare(h, c)
			}
			_, err := c.Pull(t.Context(), tt.request)
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(hint.Of(err), tt.hint) {
				t.Errorf("got %v (%s)", err, hint.Of(err))
			}
		})
	}
}

// Repositories without a suitable ONNX file.
func TestNoONNX(t *testing.T) {
	for _, tt := range []struct {
		files     string
		err, hint string
	}{
		{"config.json pytorch_model.bin", "want an ONNX file, found none among the 2 files of ", "optimum-cli export onnx --model org/small-world"},
		{"fp16/model.onnx int8/model.onnx", "want an ONNX file at the top or under onnx, found fp16/model.onnx, int8/model.onnx", "--file"},
		{"a.onnx b.onnx", "2 ONNX files, none of them called", "--file"},
	} {
		t.Run(tt.files, func(t *testing.T) {
			files := map[string][]byte{}
			for name := range strings.FieldsSeq(tt.files) {
				files[name] = []byte("x")
			}
			h, c := newWorld(t, files)
			_, err := c.Pull(t.Context(), Request{Repo: world})
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(hint.Of(err), tt.hint) {
				t.Errorf("got %v (%s)", err, hint.Of(err))
			}
			if got := h.Requests(); len(got) != 1 {
				t.Errorf("requests: %+v", got)
			}
		})
	}
}

// A request to a busy server is retried.
func TestBusy(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	var n atomic.Int32
	var seen sync.Map
	h.SetFault(func(w http.ResponseWriter, r *http.Request) bool {
		if _, again := seen.LoadOrStore(r.Host+r.URL.Path, true); again {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader([]int{429, 503, 500, 502}[n.Add(1)%4])
		return true
	})
	p := mustPull(t, c, Request{Repo: world})
	checkFiles(t, p.Folder, files, worldWants...)
	for _, r := range []string{"3600", "Fri, 31 Dec 9999 23:59:59 GMT"} { // too long to wait for
		n.Store(0)
		h.SetFault(func(w http.ResponseWriter, _ *http.Request) bool {
			n.Add(1)
			w.Header().Set("Retry-After", r)
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		if _, err := c.Pull(t.Context(), Request{Repo: world}); err == nil || n.Load() != 1 {
			t.Errorf("%d requests, %v", n.Load(), err)
		}
	}
}

// The token is sent to the hub, and to no host that it redirects to.
func TestToken(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	h.Private(world, "hf_secret")
	h.Bare(world)
	c.Token = "hf_secret"
	mustPull(t, c, Request{Repo: world})
	there, elsewhere := 0, 0
	for _, r := range h.Requests() {
		switch {
		case "http://"+r.Host == h.URL && r.Token == "Bearer hf_secret":
			there++
		case "http://"+r.Host == h.CDN && r.Token == "":
			elsewhere++
		default:
			t.Errorf("%+v", r)
		}
	}
	if there < 2 || elsewhere != 1 {
		t.Errorf("%d and %d requests", there, elsewhere)
	}
}

// A redirect from a secure address to an insecure one or to a file is not followed.
func TestUnsafeRedirect(t *testing.T) {
	for _, to := range []string{"http://127.0.0.1:1/x", "file:///etc/passwd"} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Location", to); w.WriteHeader(302) }))
		c := NewClient(s.URL, t.TempDir())
		c.http.Transport = s.Client().Transport
		if _, err := c.List(t.Context(), world, ""); err == nil || !strings.Contains(err.Error(), "an unsafe address") {
			t.Errorf("got %v", err)
		}
		// Without the test's certificate the server is not accepted as the hub.
		if _, err := NewClient(s.URL, t.TempDir()).List(t.Context(), world, ""); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("got %v", err)
		}
		s.Close()
	}
}

// Offline, only the cache is used, and no requests are made.
func TestOffline(t *testing.T) {
	files := externalFiles(t)
	h, c := newWorld(t, files)
	r := Request{Repo: world, File: "onnx/model.onnx"}
	c.Offline = true
	_, err := c.Pull(t.Context(), r)
	if err == nil || !strings.Contains(err.Error(), `revision "main" is not in the cache `) || !strings.Contains(hint.Of(err), "HF_HUB_OFFLINE is set") {
		t.Errorf("got %v (%s)", err, hint.Of(err))
	}
	c.Offline = false
	online := mustPull(t, c, r)
	c.Offline = true
	h.Requests()
	p := mustPull(t, c, r)
	if p.Open != online.Open || len(p.Files) != len(online.Files) {
		t.Errorf("%+v, want %+v", p, online)
	}
	mustPull(t, c, Request{Repo: world, Revision: p.Commit})
	dir := t.TempDir()
	plain := mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx", Dir: dir})
	var want []string
	for _, f := range plain.Files {
		want = append(want, f.Name)
	}
	checkFiles(t, dir, files, want...)

	// The error names a missing file.
	var data string
	for _, f := range p.Files {
		if strings.HasPrefix(f.Name, "onnx/model.onnx") && f.Name != "onnx/model.onnx" {
			data = f.Name
		}
	}
	if err := os.Remove(filepath.Join(p.Folder, data)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Pull(t.Context(), r)
	if err == nil || !strings.Contains(err.Error(), data) || !strings.Contains(hint.Of(err), "HF_HUB_OFFLINE is set") {
		t.Errorf("got %v (%s)", err, hint.Of(err))
	}
	var said []string
	c.Log = func(s string) { said = append(said, s) }
	os.Remove(filepath.Join(p.Folder, "config.json"))
	os.Remove(filepath.Join(p.Folder, "vocab.json"))
	c.Pull(t.Context(), r)
	if len(said) != 1 || said[0] != "org/small-world has no config.json and no tokenizer" {
		t.Errorf("said %q", said)
	}
	if got := h.Requests(); len(got) != 0 {
		t.Errorf("requests: %+v", got)
	}
}

// A list is data from the network: its contents must not name a place outside the folder or cause high cost.
func TestHostileList(t *testing.T) {
	const sha = "0123456789abcdef0123456789abcdef01234567"
	file := func(name string) map[string]any { return map[string]any{"rfilename": name, "size": 1, "blobId": sha} }
	for name, doc := range map[string]map[string]any{
		"parent":       {"sha": sha, "siblings": []any{file("../model.onnx")}},
		"inner parent": {"sha": sha, "siblings": []any{file("onnx/../../model.onnx")}},
		"absolute":     {"sha": sha, "siblings": []any{file("/etc/model.onnx")}},
		"drive":        {"sha": sha, "siblings": []any{file("C:model.onnx")}},
		"backslash":    {"sha": sha, "siblings": []any{file(`..\model.onnx`)}},
		"control":      {"sha": sha, "siblings": []any{file("model\x1b[2J.onnx")}},
		"newline":      {"sha": sha, "siblings": []any{file("model\n.onnx")}},
		"bidi":         {"sha": sha, "siblings": []any{file("model\u202e.onnx")}},
		"empty":        {"sha": sha, "siblings": []any{file("")}},
		"long":         {"sha": sha, "siblings": []any{file(strings.Repeat("m", 2000) + ".onnx")}},
		"commit":       {"sha": "../../x", "siblings": []any{file("model.onnx")}},
		"no commit":    {"siblings": []any{file("model.onnx")}},
		"etag":         {"sha": sha, "siblings": []any{map[string]any{"rfilename": "model.onnx", "size": 1, "blobId": "../../../x"}}},
		"sha256":       {"sha": sha, "siblings": []any{map[string]any{"rfilename": "model.onnx", "lfs": map[string]any{"sha256": "/etc/passwd", "size": 1}}}},
		"size":         {"sha": sha, "siblings": []any{map[string]any{"rfilename": "model.onnx", "size": -7, "blobId": sha}}},
		"huge":         {"sha": sha, "siblings": []any{map[string]any{"rfilename": "model.onnx", "size": 1 << 60, "blobId": sha}}},
		"tokenizer":    {"sha": sha, "siblings": []any{file("model.onnx"), map[string]any{"rfilename": "vocab.json", "size": 1 << 40, "blobId": sha}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.New(t)
			h.SetFault(func(w http.ResponseWriter, r *http.Request) bool { json.NewEncoder(w).Encode(doc); return true })
			c := newClient(t, h)
			if _, err := c.Pull(t.Context(), Request{Repo: world}); err == nil {
				t.Fatal("it was accepted")
			}
			if got := h.Requests(); len(got) != 1 {
				t.Errorf("requests: %+v", got)
			}
			if _, err := os.Stat(c.Cache); err == nil {
				t.Error("a file was written")
			}
		})
	}
}

// A graph cannot make the client download an arbitrary file by naming it as its data.
func TestHostileLocation(t *testing.T) {
	for _, name := range []string{"pytorch_model.bin", "weights.pt", "run.py"} {
		l := &Listing{Files: []File{{Name: name}}}
		if _, err := l.located(File{Name: "model.onnx"}, []string{name}); err == nil || !strings.Contains(err.Error(), "never downloaded") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := (&Listing{}).located(File{Name: "model.onnx"}, make([]string, maxData+1)); err == nil {
		t.Error("the number of files is not limited")
	}
}
