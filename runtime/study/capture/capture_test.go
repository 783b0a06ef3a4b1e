package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// world is the demo model with the prompts of its file.
type world struct {
	*testing.T
	dir   string
	model *decoder.Model
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	m, err := decoder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &world{t, dir, m}
}

// config captures the residual stream and z of 60 prompts into a new folder, in files of 1 MiB.
func (w *world) config() Config {
	w.Helper()
	resid, err := HooksOf(models.PortResidPost, 0, 1, 2, 3, 4, 5)
	if err != nil {
		w.Fatal(err)
	}
	z, err := HooksOf(models.PortZ, 2)
	if err != nil {
		w.Fatal(err)
	}
	return Config{
		Model: w.model, Data: filepath.Join(w.dir, "prompts.csv"), Dir: w.TempDir(), Hooks: append(resid, z...), DType: DTypes[0], PromptBOS: true,
		Limit: 60, FileMiB: 1, Options: runtime.Options{Threads: 1}, Tool: "test", Host: results.Host{Name: "ort"},
	}
}

func (w *world) run(c Config) *Report {
	w.Helper()
	r, err := Run(w.Context(), orttest.Host(w), c)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// contents reads all files of a folder except the lock.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Name() == outdir.LockFile {
			continue
		}
		if out[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// same requires two folders to have the same files with the same bytes.
func same(t *testing.T, want, got map[string][]byte) {
	t.Helper()
	for name := range want {
		if !bytes.Equal(want[name], got[name]) {
			t.Errorf("%s: %d bytes, want the same %d", name, len(got[name]), len(want[name]))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

// Rows are in the order of prompts and positions, with the values that each prompt has alone, and the table describes them.
func TestCapture(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	r := w.run(c)
	rows, err := parquet.ReadFile[Row](filepath.Join(c.Dir, RowsFile))
	if err != nil {
		t.Fatal(err)
	}
	if r.Prompts != 60 || r.Done != 60 || r.Rows != len(rows) || r.Files < 3 || r.NotFinite != 0 || r.Batch.Prompts != maxBatch {
		t.Errorf("report %+v, %d rows", r, len(rows))
	}
	s, err := steer.New(t.Context(), orttest.Host(t), w.model, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	texts, err := os.ReadFile(filepath.Join(w.dir, "prompts.csv"))
	if err != nil {
		t.Fatal(err)
	}
	runner := openRunner(t, w.model, c.Hooks)
	at := 0
	for prompt := range 60 {
		ids, err := s.Prompt(promptAt(string(texts), prompt))
		if err != nil {
			t.Fatal(err)
		}
		want, err := runner.Run(t.Context(), [][]int64{ids})
		if err != nil {
			t.Fatal(err)
		}
		for pos, id := range ids {
			row := rows[at]
			if row.Prompt != int32(prompt) || row.Position != int32(pos) || row.TokenID != id || row.Token != s.Token(id) || row.Status != "" {
				t.Fatalf("row %d is %+v, want prompt %d, position %d, token %d", at, row, prompt, pos, id)
			}
			for h, hook := range c.Hooks {
				if at%7 != h {
					continue // every hook at a seventh of the rows: reading a row opens a file
				}
				got, err := vector.Read(fmt.Sprintf("%s#%s[%d]", c.Dir, hook.Name(), at))
				if err != nil {
					t.Fatal(err)
				}
				n := len(got.Data)
				if d := distance(got.Data, want[h][pos*n:(pos+1)*n]); n != 128 || d > 1e-6 {
					t.Fatalf("row %d of %s differs by %g", at, hook.Name(), d)
				}
				direct, err := vector.Read(filepath.Join(c.Dir, vector.ShardName(int(row.Shard))) + fmt.Sprintf("#%s[%d]", hook.Name(), row.Row))
				if err != nil || !slices.Equal(direct.Data, got.Data) {
					t.Fatalf("shard %d, row %d is not row %d: %v", row.Shard, row.Row, at, err)
				}
			}
			at++
		}
	}
	if at != len(rows) {
		t.Errorf("%d rows, want %d", len(rows), at)
	}
}

// promptAt returns the two-hop prompt of a row of the demo's data, which has no quotes.
func promptAt(data string, row int) string {
	lines := strings.Split(data, "\n")
	column := slices.Index(strings.Split(lines[0], ","), "obscure_sentence")
	return strings.Split(lines[row+1], ",")[column]
}

// With the last position only, row i of the folder is prompt i. float16 is the nearest float16 of float32.
func TestLastHalf(t *testing.T) {
	w := newWorld(t)
	all, half := w.config(), w.config()
	half.DType, half.Last = DTypes[1], true
	w.run(all)
	if r := w.run(half); r.Rows != 60 || r.Files != 1 {
		t.Errorf("report %+v", r)
	}
	rows, err := parquet.ReadFile[Row](filepath.Join(all.Dir, RowsFile))
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if i+1 < len(rows) && rows[i+1].Prompt == row.Prompt {
			continue
		}
		want, err1 := vector.Read(fmt.Sprintf("%s#blocks.3.hook_resid_post[%d]", all.Dir, i))
		got, err2 := vector.Read(fmt.Sprintf("%s#blocks.3.hook_resid_post[%d]", half.Dir, row.Prompt))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for j, x := range want.Data {
			if d := math.Abs(float64(got.Data[j] - x)); d > math.Abs(float64(x))/2048+1.0/(1<<25) {
				t.Fatalf("prompt %d: %v as float16 is %v", row.Prompt, x, got.Data[j])
			}
		}
	}
}

// Wherever a capture stops, and whatever of the spool is lost, the next run ends with the same bytes.
func TestResume(t *testing.T) {
	w := newWorld(t)
	whole := w.config()
	w.run(whole)
	want := contents(t, whole.Dir)
	if len(want) < 5 || want[spoolFile] != nil {
		t.Fatalf("%d files", len(want))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 2 {
		c := w.config()
		for tries := 0; ; tries++ {
			ctx, stop := context.WithCancelCause(t.Context())
			steps, last := 1+r.IntN(4), 0
			c.Progress = func(done, all int) {
				if last = done; steps == 0 {
					stop(errStopped)
				}
				steps--
			}
			report, err := Run(ctx, orttest.Host(t), c)
			if err == nil {
				if report.Resumed+report.Done != 60 || tries < 2 {
					t.Errorf("report %+v after %d stops", report, tries)
				}
				break
			}
			if !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
			if report.Resumed+report.Done != last {
				t.Errorf("%+v, but the progress was %d", report, last)
			}
			damageSpool(t, filepath.Join(c.Dir, spoolFile), r)
		}
		if got := contents(t, c.Dir); round == 0 || !t.Failed() {
			same(t, want, got)
		}
	}
	// The same command again checks the folder and changes nothing.
	again := whole
	if report := w.run(again); report.Resumed != 60 || report.Done != 0 {
		t.Errorf("report %+v", report)
	}
	same(t, want, contents(t, whole.Dir))
	// Without its table, the folder gets it back.
	os.Remove(filepath.Join(whole.Dir, RowsFile))
	w.run(again)
	same(t, want, contents(t, whole.Dir))
}

var errStopped = errors.New("stopped")

// damageSpool cuts the spool anywhere, changes a byte of it, appends to it, removes it, or leaves it.
func damageSpool(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || len(data) == 0 {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	switch r.IntN(6) {
	case 0:
		data = data[:r.IntN(len(data))]
	case 1:
		data[r.IntN(len(data))] ^= 1 << r.IntN(8)
	case 2:
		data = append(data, data[:r.IntN(len(data))]...)
	case 3:
		data = nil
	default:
		return
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// The spool of a file that was written already, as a crash after the write leaves it, is not used for the next file.
func TestStaleSpool(t *testing.T) {
	w := newWorld(t)
	equal := w.equalLengths() // the records of all files have the same size
	c := w.config()
	c.Data, c.Limit = equal, 0
	var spool []byte
	c.Progress = func(done, all int) {
		if _, err := os.Stat(filepath.Join(c.Dir, vector.ShardName(0))); err != nil {
			spool, _ = os.ReadFile(filepath.Join(c.Dir, spoolFile))
		}
	}
	if r := w.run(c); r.Files < 3 || len(spool) < 1000000 {
		t.Fatalf("report %+v, a spool of %d bytes", r, len(spool))
	}
	want := contents(t, c.Dir)
	for name := range want {
		if name != outdir.ManifestFile && name != vector.ShardName(0) {
			os.Remove(filepath.Join(c.Dir, name))
		}
	}
	if err := os.WriteFile(filepath.Join(c.Dir, spoolFile), spool, 0o666); err != nil {
		t.Fatal(err)
	}
	w.run(c)
	same(t, want, contents(t, c.Dir))
}

// equalLengths writes the prompts of the demo's data that have 10 tokens to a file.
func (w *world) equalLengths() string {
	w.Helper()
	s, err := steer.New(w.Context(), orttest.Host(w), w.model, runtime.Options{})
	if err != nil {
		w.Fatal(err)
	}
	defer s.Close()
	data, err := os.ReadFile(filepath.Join(w.dir, "prompts.csv"))
	if err != nil {
		w.Fatal(err)
	}
	var lines []string
	for row := range strings.Count(string(data), "\n") - 1 {
		text := promptAt(string(data), row)
		if ids, err := s.Prompt(text); err != nil {
			w.Fatal(err)
		} else if len(ids) == 10 {
			lines = append(lines, text)
		}
	}
	path := filepath.Join(w.TempDir(), "equal.txt")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
		w.Fatal(err)
	}
	return path
}

// A folder that was damaged, or that holds something else, is refused, and stays as it is.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	base := w.config()
	w.run(base)
	for _, c := range []struct {
		name, err string
		change    func(dir string, c *Config)
	}{
		{"a value", "checksum does not fit", func(dir string, _ *Config) { flip(t, filepath.Join(dir, vector.ShardName(1)), -9) }},
		{"a name in a header", "its header is not the one", func(dir string, _ *Config) { flip(t, filepath.Join(dir, vector.ShardName(1)), 30) }},
		{"a short file", "bytes, want", func(dir string, _ *Config) {
			path := filepath.Join(dir, vector.ShardName(0))
			st, err := os.Stat(path)
			if err == nil {
				err = os.Truncate(path, st.Size()-4)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"the manifest", "changed after it was written", func(dir string, _ *Config) {
			path := filepath.Join(dir, outdir.ManifestFile)
			data, _ := os.ReadFile(path)
			os.WriteFile(path, bytes.Replace(data, []byte(`"prompts": 60`), []byte(`"prompts": 61`), 1), 0o666)
		}},
		{"no manifest", "was not written by this program", func(dir string, _ *Config) { os.Remove(filepath.Join(dir, outdir.ManifestFile)) }},
		{"other hooks", "hooks: ", func(_ string, c *Config) { c.Hooks = c.Hooks[:3] }},
		{"another type", `dtype: "float32" in the folder, "float16" now`, func(_ string, c *Config) { c.DType = DTypes[1] }},
		{"a link", "symbolic link", func(dir string, _ *Config) { os.Symlink("elsewhere", filepath.Join(dir, spoolFile)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := base
			cfg.Dir = t.TempDir()
			for name, data := range contents(t, base.Dir) {
				if err := os.WriteFile(filepath.Join(cfg.Dir, name), data, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			c.change(cfg.Dir, &cfg)
			before, _ := os.ReadDir(cfg.Dir)
			_, err := Run(t.Context(), orttest.Host(t), cfg)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			after, _ := os.ReadDir(cfg.Dir)
			if len(after) > len(before)+1 { // the lock
				t.Errorf("%d files, before %d", len(after), len(before))
			}
		})
	}
	locked := w.config()
	d, err := outdir.Open(locked.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := Run(t.Context(), orttest.Host(t), locked); !errors.Is(err, outdir.ErrLocked) || hint.Of(err) == "" {
		t.Errorf("a second writer: %v", err)
	}
	pattern := w.config()
	pattern.Hooks, _ = HooksOf(models.PortPattern, 0)
	if _, err := Run(t.Context(), orttest.Host(t), pattern); err == nil || !strings.Contains(err.Error(), "it has no row for a position") {
		t.Errorf("a pattern: %v", err)
	}
}

// flip changes a bit of a file. A negative offset counts from the end.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Shards have the prompts of their index, together all of them, with the values of the whole.
func TestShards(t *testing.T) {
	w := newWorld(t)
	whole := w.config()
	whole.Last = true
	w.run(whole)
	seen := 0
	var parts []string
	for i := range 3 {
		c := w.config()
		parts = append(parts, c.Dir)
		c.Last, c.Shard = true, results.Shard{Index: i, Of: 3}
		w.run(c)
		rows, err := parquet.ReadFile[Row](filepath.Join(c.Dir, RowsFile))
		if err != nil {
			t.Fatal(err)
		}
		for r, row := range rows {
			if int(row.Prompt)%3 != i {
				t.Errorf("shard %d has prompt %d", i, row.Prompt)
			}
			a, err1 := vector.Read(fmt.Sprintf("%s#blocks.5.hook_resid_post[%d]", c.Dir, r))
			b, err2 := vector.Read(fmt.Sprintf("%s#blocks.5.hook_resid_post[%d]", whole.Dir, row.Prompt))
			if err1 != nil || err2 != nil || distance(a.Data, b.Data) > 1e-6 {
				t.Fatalf("prompt %d: %v %v", row.Prompt, err1, err2)
			}
			seen++
		}
	}
	if seen != 60 {
		t.Errorf("%d prompts, want 60", seen)
	}
	// Joined, they are the whole, and no prompt is run again.
	joined := w.config()
	joined.Last, joined.From = true, parts
	if r, err := Run(t.Context(), noHost{orttest.Host(t)}, joined); err != nil || r.Taken != 60 || r.Done != 0 {
		t.Errorf("joined: %+v, %v", r, err)
	}
	same(t, contents(t, whole.Dir), contents(t, joined.Dir))
	// What the parts do not have is run.
	some := w.config()
	some.Last, some.From = true, parts[:2]
	if r := w.run(some); r.Taken == 0 || r.Done == 0 || r.Taken+r.Done != 60 {
		t.Errorf("report %+v", r)
	}
	same(t, contents(t, whole.Dir), contents(t, some.Dir))
	other := w.config()
	other.From = parts
	if _, err := Run(t.Context(), orttest.Host(t), other); err == nil || !strings.Contains(err.Error(), `positions: "last" in the folder, "all" now`) {
		t.Errorf("another capture: %v", err)
	}
	os.Remove(filepath.Join(parts[1], RowsFile))
	other.Last = true
	if _, err := Run(t.Context(), orttest.Host(t), other); err == nil || !strings.Contains(err.Error(), "its capture has not ended") {
		t.Errorf("an unfinished part: %v", err)
	}
	empty := w.config() // more shards than prompts
	empty.Limit, empty.Shard = 2, results.Shard{Index: 2, Of: 3}
	if r := w.run(empty); r.Prompts != 0 || r.Rows != 0 {
		t.Errorf("report %+v", r)
	}
	if r := w.run(empty); r.Prompts != 0 {
		t.Errorf("again: %+v", r)
	}
}

// noHost opens nothing.
type noHost struct{ runtime.Host }

func (noHost) Open(context.Context, runtime.Model, runtime.Options) (runtime.Session, error) {
	return nil, errors.New("a model was opened")
}

// loud makes the values of one hook large, infinite or NaN at some positions, as a model that leaves its range does.
type loud struct {
	runtime.Host
	hook string
}

func (l loud) Open(ctx context.Context, m runtime.Model, o runtime.Options) (runtime.Session, error) {
	s, err := l.Host.Open(ctx, m, o)
	return loudSession{s, l.hook}, err
}

type loudSession struct {
	runtime.Session
	hook string
}

func (l loudSession) Run(ctx context.Context, in map[string]*graph.Tensor, want ...string) (map[string]*graph.Tensor, error) {
	out, err := l.Session.Run(ctx, in, want...)
	if err != nil {
		return nil, err
	}
	x, err := out[l.hook].Float32s()
	x = slices.Clone(x)
	pos, width := int(out[l.hook].Dims[1]), int(out[l.hook].Dims[2])
	for row := 0; row < len(x)/width; row++ {
		for p, v := range map[int]float32{1: 65519, 2: -65520, 3: float32(math.Inf(1)), 4: float32(math.NaN())} {
			if row%pos == p {
				x[row*width+5] = v
			}
		}
	}
	out[l.hook] = graph.NewFloat32(x, out[l.hook].Dims...)
	return out, err
}

// Rows that are not finite are marked: what the model computed so, and what float16 cannot hold.
func TestNotFinite(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		dtype string
		want  []string // by position
	}{{DTypes[0], []string{"", "", "", "inf", "nan", ""}}, {DTypes[1], []string{"", "", "overflow", "inf", "nan", ""}}} {
		cfg := w.config()
		cfg.DType = c.dtype
		r, err := Run(t.Context(), loud{orttest.Host(t), "blocks.2.hook_resid_post"}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := parquet.ReadFile[Row](filepath.Join(cfg.Dir, RowsFile))
		if err != nil {
			t.Fatal(err)
		}
		bad := 0
		for _, row := range rows {
			want := ""
			if int(row.Position) < len(c.want) {
				want = c.want[row.Position]
			}
			if want != "" {
				bad++
			}
			if row.Status != want {
				t.Fatalf("%s: row %+v, want the status %q", c.dtype, row, want)
			}
		}
		if r.NotFinite != bad || bad == 0 {
			t.Errorf("%s: %d rows are not finite, want %d", c.dtype, r.NotFinite, bad)
		}
		copied := w.config()
		copied.DType, copied.From = c.dtype, []string{cfg.Dir}
		if r, err := Run(t.Context(), noHost{orttest.Host(t)}, copied); err != nil || r.NotFinite != bad {
			t.Errorf("copied: %+v, %v", r, err)
		}
		same(t, contents(t, cfg.Dir), contents(t, copied.Dir))
		if again, err := Run(t.Context(), loud{orttest.Host(t), "blocks.2.hook_resid_post"}, cfg); err != nil || again.NotFinite != bad {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
}
