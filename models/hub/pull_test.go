package hub

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/hub/hubtest"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

const world = "org/small-world" // the test repository

// worldFiles returns the files of the demo model and others that must never be downloaded.
func worldFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "generation_config.json", "merges.txt", "tokenizer_config.json", "vocab.json", "model.onnx"} {
		data, err := os.ReadFile(filepath.Join("..", "demo", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	for _, name := range []string{"README.md", "pytorch_model.bin", "model.safetensors", "training_args.pt", "onnx/decoder_with_past_model.onnx"} {
		files[name] = []byte("must not be downloaded: " + name)
	}
	return files
}

// externalFiles returns a repository whose weights are in a separate file next to the graph, below onnx.
func externalFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := worldFiles(t)
	delete(files, "model.onnx")
	m, err := graph.Load(filepath.Join("..", "demo", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	saved, err := graph.Save(t.Context(), m, filepath.Join(t.TempDir(), "model.onnx"), graph.Copy, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{saved.Path, saved.Data} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files["onnx/"+filepath.Base(path)] = data
	}
	return files
}

// newWorld starts a hub with the repository, and creates a client with an empty cache that never waits long.
func newWorld(t testing.TB, files map[string][]byte) (*hubtest.Hub, *Client) {
	t.Helper()
	h := hubtest.New(t)
	h.Commit(world, "main", files)
	return h, newClient(t, h)
}

func newClient(t testing.TB, h *hubtest.Hub) *Client {
	c := NewClient(h.URL, filepath.Join(t.TempDir(), "cache"))
	c.pause = func(ctx context.Context, d time.Duration) error { return pause(ctx, min(d, 5*time.Millisecond)) }
	return c
}

func mustPull(t testing.TB, c *Client, r Request) *Pulled {
	t.Helper()
	p, err := c.Pull(t.Context(), r)
	if err != nil {
		t.Fatalf("%v (%s)", err, hint.Of(err))
	}
	return p
}

// checkFiles requires a pulled folder to have exactly the given files of the repository.
func checkFiles(t testing.TB, folder string, files map[string][]byte, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), atomicfile.Prefix) {
			return err
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if name := filepath.ToSlash(rel); string(data) != string(files[name]) {
			t.Errorf("%s: %d bytes are not those of the repository (%d)", name, len(data), len(files[name]))
		} else {
			got = append(got, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

var worldWants = []string{"config.json", "generation_config.json", "merges.txt", "model.onnx", "tokenizer_config.json", "vocab.json"}

// A pull downloads exactly the files that a model folder needs, in the layout of the hub's client. A second pull requests
// only the list.
func TestPull(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	p := mustPull(t, c, Request{Repo: world})
	checkFiles(t, p.Folder, files, worldWants...)
	repo := filepath.Join(c.Cache, "models--org--small-world")
	if want := filepath.Join(repo, "snapshots", p.Commit); p.Folder != want || p.Open != want || p.Model != filepath.Join(want, "model.onnx") {
		t.Errorf("folder %s, open %s, model %s; want %s", p.Folder, p.Open, p.Model, want)
	}
	for _, f := range p.Files {
		if !f.Fetched || f.Etag() != h.Etag(f.Name, files[f.Name]) || f.Size != int64(len(files[f.Name])) {
			t.Errorf("%+v", f)
		}
		if to, err := os.Readlink(filepath.Join(p.Folder, f.Name)); err != nil || to != "../../blobs/"+f.Etag() {
			t.Errorf("%s links to %q, %v", f.Name, to, err)
		}
	}
	if ref, err := os.ReadFile(filepath.Join(repo, "refs", "main")); err != nil || string(ref) != p.Commit {
		t.Errorf("refs/main is %q, %v", ref, err)
	}
	blobs, err := os.ReadDir(filepath.Join(repo, "blobs"))
	if err != nil || len(blobs) != len(worldWants) {
		t.Errorf("%d blobs, %v", len(blobs), err)
	}

	h.Requests()
	again := mustPull(t, c, Request{Repo: world, Revision: "main"})
	if got := h.Requests(); len(got) != 1 || got[0].Method != http.MethodGet {
		t.Errorf("requests of the second pull: %+v", got)
	}
	if slices.ContainsFunc(again.Files, func(f Pull) bool { return f.Fetched }) || again.Open != p.Open {
		t.Errorf("%+v", again)
	}
	if _, err := folder.Open(p.Open); err != nil {
		t.Error(err)
	}
}

// A new commit downloads only the files that changed; the others are linked.
func TestPullNewCommit(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	old := mustPull(t, c, Request{Repo: world})
	changed := worldFiles(t)
	changed["config.json"] = append(changed["config.json"], '\n')
	h.Commit(world, "main", changed)
	p := mustPull(t, c, Request{Repo: world})
	checkFiles(t, p.Folder, changed, worldWants...)
	checkFiles(t, old.Folder, files, worldWants...)
	for _, f := range p.Files {
		if f.Fetched != (f.Name == "config.json") {
			t.Errorf("%s: fetched %v", f.Name, f.Fetched)
		}
	}
	// The old commit can still be named, and refs/main does not change.
	again := mustPull(t, c, Request{Repo: world, Revision: old.Commit})
	if ref, _ := os.ReadFile(filepath.Join(c.Cache, "models--org--small-world", "refs", "main")); again.Folder != old.Folder || string(ref) != p.Commit {
		t.Errorf("folder %s, refs/main %s", again.Folder, ref)
	}
}

// A graph with its weights in the same folder works through the links of a snapshot, each into blobs.
func TestPullExternalData(t *testing.T) {
	files := externalFiles(t)
	h, c := newWorld(t, files)
	p := mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx"})
	if p.Open != p.Folder {
		t.Errorf("opens with %s", p.Open)
	}
	var data string
	for _, f := range p.Files {
		if strings.HasPrefix(f.Name, "onnx/model.onnx") && f.Name != "onnx/model.onnx" {
			data = f.Name
		}
	}
	checkFiles(t, p.Folder, files, "config.json", "generation_config.json", "merges.txt", "onnx/model.onnx", data, "tokenizer_config.json", "vocab.json")
	opened, err := folder.Open(p.Open)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Load(opened.Model)
	if err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, opened.Config)
	if err != nil || l.Layers != 6 {
		t.Errorf("%v", err)
	}
	if _, err := opened.Tokenizer(); err != nil {
		t.Error(err)
	}
	// The graph determines the data file, not the file's name.
	delete(files, data)
	files["onnx/model.onnx_data"] = []byte("of another exporter")
	h.Commit(world, "main", files)
	_, err = c.Pull(t.Context(), Request{Repo: world, File: "onnx/model.onnx"})
	if err == nil || !strings.Contains(err.Error(), "the weights are in "+data+", which is missing") {
		t.Errorf("got %v", err)
	}
}

// A file that a folder would not be opened with is returned itself.
func TestPullNamedFile(t *testing.T) {
	files := worldFiles(t)
	files["onnx/decoder_model.onnx"] = files["model.onnx"]
	_, c := newWorld(t, files)
	p := mustPull(t, c, Request{Repo: world, File: "onnx/decoder_model.onnx"})
	if p.Open != p.Folder {
		t.Errorf("alone it opens with %s", p.Open)
	}
	mustPull(t, c, Request{Repo: world})
	p = mustPull(t, c, Request{Repo: world, File: "onnx/decoder_model.onnx"})
	if p.Open != p.Model || !strings.HasSuffix(p.Model, "decoder_model.onnx") {
		t.Errorf("beside model.onnx it opens with %s", p.Open)
	}
	f, err := folder.Open(p.Open)
	if err != nil || f.ConfigFile == "" || f.TokenizerDir == "" {
		t.Errorf("%+v, %v", f, err)
	}
}

// splitModel is the demo model with its weights in two files, as the graph alone says.
func splitModel(t testing.TB, name string) map[string][]byte {
	t.Helper()
	m, err := graph.Load(filepath.Join("..", "demo", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	saved, err := graph.Save(t.Context(), m, filepath.Join(t.TempDir(), name), graph.Copy, false)
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(saved.Path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(saved.Data)
	if err != nil {
		t.Fatal(err)
	}
	was, first, second := filepath.Base(saved.Data), name+"_data", name+"_dat1"
	last := bytes.LastIndex(model, []byte(was))
	if len(first) != len(was) || bytes.Count(model, []byte(was)) < 2 {
		t.Fatalf("the data is called %s, want as many letters as %s", was, first)
	}
	model = bytes.ReplaceAll(model, []byte(was), []byte(first))
	copy(model[last:], second)
	return map[string][]byte{name: model, first: data, second: data}
}

// What onnx-community and onnxruntime-genai publish: variants of one model, each with its data, and folders that have everything.
func TestPullVariants(t *testing.T) {
	files := worldFiles(t)
	delete(files, "model.onnx")
	files["chat_template.jinja"], files["onnx/model.onnx"] = []byte("{{ messages }}"), []byte("full precision")
	for name, data := range splitModel(t, "model_q4f16.onnx") {
		files["onnx/"+name] = data
	}
	for _, kind := range []string{"cpu-int4", "cuda-fp16"} {
		for name, data := range splitModel(t, "model.onnx") {
			files["gen/"+kind+"/"+name] = data
		}
		files["gen/"+kind+"/genai_config.json"] = []byte(`{"model":{"decoder":{"filename":"model.onnx"}}}`)
		files["gen/"+kind+"/vocab.json"], files["gen/"+kind+"/merges.txt"] = files["vocab.json"], files["merges.txt"]
	}
	_, c := newWorld(t, files)
	p := mustPull(t, c, Request{Repo: world, File: "onnx/model_q4f16.onnx"})
	beside := []string{"chat_template.jinja", "config.json", "generation_config.json", "merges.txt", "tokenizer_config.json", "vocab.json"}
	checkFiles(t, p.Folder, files, append(beside, "onnx/model_q4f16.onnx", "onnx/model_q4f16.onnx_dat1", "onnx/model_q4f16.onnx_data")...)

	c = newClient(t, &hubtest.Hub{URL: c.Endpoint})
	p = mustPull(t, c, Request{Repo: world, File: "gen/cpu-int4"})
	checkFiles(t, p.Folder, files, "chat_template.jinja", "config.json", "gen/cpu-int4/genai_config.json", "gen/cpu-int4/merges.txt", "gen/cpu-int4/model.onnx",
		"gen/cpu-int4/model.onnx_dat1", "gen/cpu-int4/model.onnx_data", "gen/cpu-int4/vocab.json", "generation_config.json", "tokenizer_config.json")
	f, err := folder.Open(p.Open)
	if err != nil {
		t.Fatal(err)
	}
	if f.Config.Layers != 6 || !strings.HasSuffix(f.TokenizerDir, "cpu-int4") {
		t.Errorf("%+v, tokenizer in %s", f.Config, f.TokenizerDir)
	}
	if _, err := f.Tokenizer(); err != nil {
		t.Error(err)
	}
}

// -o: plain files, and no cache where there was none.
func TestPullFolder(t *testing.T) {
	files := externalFiles(t)
	h, c := newWorld(t, files)
	dir := filepath.Join(t.TempDir(), "out")
	p := mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx", Dir: dir})
	var want []string
	for _, f := range p.Files {
		want = append(want, f.Name)
		if st, err := os.Lstat(filepath.Join(dir, f.Name)); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%s is not a plain file: %v", f.Name, err)
		}
	}
	checkFiles(t, dir, files, want...)
	if _, err := os.Stat(c.Cache); err == nil {
		t.Error("a cache was created")
	}
	h.Requests()
	mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx", Dir: dir})
	if got := h.Requests(); len(got) != 1 {
		t.Errorf("requests of the second pull: %+v", got)
	}
	// Files of the user are kept, unless --force is given.
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := c.Pull(t.Context(), Request{Repo: world, File: "onnx/model.onnx", Dir: dir})
	if !errors.As(err, new(*atomicfile.Error)) || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("got %v", err)
	}
	mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx", Dir: dir, Force: true})
	checkFiles(t, dir, files, want...)

	// Cached files are copied, but not a damaged blob.
	mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx"})
	blob := filepath.Join(c.Cache, "models--org--small-world", "blobs", h.Etag("vocab.json", files["vocab.json"]))
	damage(t, blob)
	h.Requests()
	other := filepath.Join(t.TempDir(), "other")
	mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx", Dir: other})
	checkFiles(t, other, files, want...)
	if got := h.Requests(); len(got) != 2 || got[1].Path != "vocab.json" {
		t.Errorf("requests: %+v", got)
	}
}

// damage changes a byte of a file but not its size.
func damage(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Progress counts the bytes that arrive, and ends with all of them; the room that is checked is exactly for these.
func TestPullProgress(t *testing.T) {
	files := externalFiles(t)
	h, c := newWorld(t, files)
	var last Progress
	var needs []int64
	c.Progress = func(p Progress) {
		if p.Done > p.All || p.Done < last.Done {
			t.Errorf("%+v after %+v", p, last)
		}
		last = p
	}
	c.Room = func(dir string, need int64) error {
		needs = append(needs, need)
		return nil
	}
	p := mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx"})
	var all int64
	for _, f := range p.Files {
		all += f.Size
	}
	if last.Done != all || last.All != all || needs[0] != all {
		t.Errorf("%+v, room for %v; want %d bytes", last, needs, all)
	}
	// The part of an earlier run counts as present.
	other := newClient(t, h)
	part(t, h, other, "onnx/model.onnx", files["onnx/model.onnx"], files["onnx/model.onnx"][:1000])
	other.Room, needs = c.Room, nil
	mustPull(t, other, Request{Repo: world, File: "onnx/model.onnx"})
	if needs[0] != all-1000 {
		t.Errorf("room for %v, want %d", needs, all-1000)
	}
	c.Room = func(string, int64) error { return errors.New("full") }
	mustPull(t, c, Request{Repo: world, File: "onnx/model.onnx"}) // nothing to download, nothing to refuse
	_, err := c.Pull(t.Context(), Request{Repo: world, File: "onnx/model.onnx", Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v", err)
	}
}

// The client requests each file's checksum from a hub whose list has only names.
func TestPullBareList(t *testing.T) {
	files := worldFiles(t)
	h, c := newWorld(t, files)
	h.Bare(world)
	p := mustPull(t, c, Request{Repo: world})
	checkFiles(t, p.Folder, files, worldWants...)
	heads := 0
	for _, r := range h.Requests() {
		if r.Method == http.MethodHead {
			heads++
			if "http://"+r.Host != h.URL {
				t.Errorf("HEAD went to the other host: %+v", r)
			}
		}
	}
	if heads != len(worldWants) {
		t.Errorf("%d HEADs", heads)
	}
}
