package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Hub is a test server for the hub and for the host of its large files.
type Hub struct {
	URL string // for HF_ENDPOINT
	CDN string // the other host

	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request) bool
	repos map[string]*repo
	log   []Request
}

// Request is a request that the hub received.
type Request struct {
	Method, Host, Path    string // Path is the file's name for a file of a repository
	Range, IfRange, Token string
	Status                int
	Sent                  int64 // bytes of the body
}

type repo struct {
	token   string // required token, "" for none
	gated   bool
	bare    bool // the list omits sizes and checksums
	refs    map[string]string
	commits map[string]map[string][]byte
}

// New starts a hub without repositories; it stops at the end of the test.
func New(t testing.TB) *Hub {
	h := &Hub{repos: map[string]*repo{}}
	hub, cdn := httptest.NewServer(h.logged(h.serve)), httptest.NewServer(h.logged(func(w http.ResponseWriter, r *http.Request) {
		if !h.faulty(w, r) {
			h.ServeLarge(w, r)
		}
	}))
	t.Cleanup(hub.Close)
	t.Cleanup(cdn.Close)
	h.URL, h.CDN = hub.URL, cdn.URL
	return h
}

// Commit stores files as the newest commit of a repository's branch and returns the commit's name.
func (h *Hub) Commit(name, branch string, files map[string][]byte) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum := sha1.New()
	for _, f := range sorted(files) {
		fmt.Fprintf(sum, "%s %s\n", f, etag(files[f], true))
	}
	commit := hex.EncodeToString(sum.Sum(nil))
	r := h.repo(name)
	r.refs[branch], r.refs[commit], r.commits[commit] = commit, commit, files
	return commit
}

// Private makes a repository appear missing to requests without the token.
func (h *Hub) Private(name, token string) { h.with(name, func(r *repo) { r.token = token }) }

// Gated makes the list of a repository public and its files available only to accounts with access.
func (h *Hub) Gated(name string) { h.with(name, func(r *repo) { r.gated = true }) }

// Bare removes sizes and checksums from the list of a repository's files.
func (h *Hub) Bare(name string) { h.with(name, func(r *repo) { r.bare = true }) }

func (h *Hub) with(name string, do func(*repo)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do(h.repo(name))
}

func (h *Hub) repo(name string) *repo {
	if h.repos[name] == nil {
		h.repos[name] = &repo{refs: map[string]string{}, commits: map[string]map[string][]byte{}}
	}
	return h.repos[name]
}

// SetFault sets a function that may answer a request instead of the hub; it then returns true. It may be called concurrently.
func (h *Hub) SetFault(fault func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = fault
}

func (h *Hub) faulty(w http.ResponseWriter, r *http.Request) bool {
	h.mu.Lock()
	fault := h.fault
	h.mu.Unlock()
	return fault != nil && fault(w, r)
}

// Requests returns the requests since the last call.
func (h *Hub) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.log
	h.log = nil
	return out
}

// Etag is the checksum that identifies a file.
func (h *Hub) Etag(name string, data []byte) string { return etag(data, large(name)) }

// large reports whether the other host stores a file: ONNX files and their data.
func large(name string) bool { return strings.Contains(name, ".onnx") }

func etag(data []byte, large bool) string {
	if large {
		return fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...)))
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	if h.faulty(w, r) {
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/models/"); ok {
		name, rev, _ := strings.Cut(rest, "/revision/")
		h.list(w, r, name, rev)
		return
	}
	name, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/resolve/")
	rev, file, _ := strings.Cut(rest, "/")
	files, commit := h.open(w, r, name, rev, true)
	switch {
	case files == nil:
		return
	case !ok || files[file] == nil:
		w.Header().Set("X-Repo-Commit", commit)
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	data := files[file]
	w.Header().Set("X-Repo-Commit", commit)
	sum := h.Etag(file, data)
	if large(file) {
		w.Header().Set("X-Linked-Etag", `"`+sum+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(data)))
		w.Header().Set("ETag", `"`+strings.Repeat("0", 40)+`"`) // the ETag of the redirect, not of the file
		w.Header().Set("Location", fmt.Sprintf("%s/%s?signature=%s&name=%s", h.CDN, sum, sum[:8], file))
		w.WriteHeader(http.StatusFound)
		return
	}
	w.Header().Set("ETag", `"`+sum+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// list answers with the description of a model.
func (h *Hub) list(w http.ResponseWriter, r *http.Request, name, rev string) {
	files, commit := h.open(w, r, name, rev, false)
	if files == nil {
		return
	}
	siblings := []any{}
	for _, f := range sorted(files) {
		s := map[string]any{"rfilename": f}
		if !h.repos[name].bare && r.URL.Query().Get("blobs") == "true" {
			s["size"], s["blobId"] = len(files[f]), etag(files[f], false)
			if large(f) {
				s["blobId"] = strings.Repeat("1", 40) // the blob of the pointer to the file
				s["lfs"] = map[string]any{"sha256": etag(files[f], true), "size": len(files[f]), "pointerSize": 134}
			}
		}
		siblings = append(siblings, s)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"id": name, "modelId": name, "sha": commit, "private": false, "gated": h.repos[name].gated,
		"tags": []string{"onnx"}, "siblings": siblings})
}

// open finds a commit, or answers with the hub's error.
func (h *Hub) open(w http.ResponseWriter, r *http.Request, name, rev string, file bool) (map[string][]byte, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo, token := h.repos[name], strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case repo == nil && token == "", repo != nil && repo.token != "" && token == "":
		refuse(w, http.StatusUnauthorized, "", "Invalid username or password.")
	case repo == nil:
		refuse(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
	case repo.token != "" && token != repo.token:
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	case repo.gated && file:
		refuse(w, http.StatusForbidden, "GatedRepo", "Access to model "+name+" is restricted")
	case repo.refs[rev] == "":
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+rev)
	default:
		return repo.commits[repo.refs[rev]], repo.refs[rev]
	}
	return nil, ""
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(status)
}

// ServeLarge is the other host: it identifies files by their checksums, has its own ETags, and needs no token.
func (h *Hub) ServeLarge(w http.ResponseWriter, r *http.Request) {
	sum := strings.TrimPrefix(r.URL.Path, "/")
	data := h.find(sum)
	if data == nil || r.URL.Query().Get("signature") != sum[:8] {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("ETag", `"of-the-store-`+sum[:8]+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (h *Hub) find(sum string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.repos {
		for _, files := range r.commits {
			for _, data := range files {
				if etag(data, true) == sum {
					return data
				}
			}
		}
	}
	return nil
}

// logged records every request.
func (h *Hub) logged(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &counter{ResponseWriter: w, status: http.StatusOK}
		defer func() { // also when the handler cuts the connection by a panic
			h.mu.Lock()
			defer h.mu.Unlock()
			path := r.URL.Query().Get("name")
			if _, file, ok := strings.Cut(r.URL.Path, "/resolve/"); ok {
				_, path, _ = strings.Cut(file, "/")
			}
			h.log = append(h.log, Request{r.Method, r.Host, path, r.Header.Get("Range"), r.Header.Get("If-Range"), r.Header.Get("Authorization"), c.status, c.sent})
		}()
		serve(c, r)
	}
}

type counter struct {
	http.ResponseWriter
	status int
	sent   int64
}

func (c *counter) WriteHeader(status int) { c.status = status; c.ResponseWriter.WriteHeader(status) }

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent += int64(n)
	return n, err
}

// Unwrap gives a test access to the server's ResponseWriter, to flush it.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func sorted(files map[string][]byte) []string {
	var out []string
	for f := range files {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}
