package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/folder"
)

// Request is what to download and where to store it.
type Request struct {
	Repo     string // org/name
	Revision string // branch, tag or commit; "" = [DefaultRevision]
	File     string // the ONNX file, as a path in the repository; "" = the one that a folder would be opened with
	Dir      string // a folder for plain files; "" = the cache
	Force    bool   // replace files in Dir that have other contents
}

// Pulled lists the downloaded files and their paths.
type Pulled struct {
	Commit string
	Folder string // holds the files under their names in the repository
	Model  string // path of the ONNX file
	Open   string // path that opens this model: Folder, or Model when another ONNX file of the folder has priority
	Files  []Pull // the ONNX file first
}

// Pull is one file of [Pulled].
type Pull struct {
	File
	Fetched bool // downloaded by this pull
}

// Pull downloads a model folder: an ONNX file, its data, config.json and the tokenizer. It skips files that are already
// present and resumes interrupted downloads. The error of an interruption wraps the context's cause.
func (c *Client) Pull(ctx context.Context, r Request) (*Pulled, error) {
	l, err := c.List(ctx, r.Repo, r.Revision)
	if err != nil {
		return nil, err
	}
	p := &pulling{c: c, l: l, to: c.cacheOf(l), todo: map[string]*todo{}}
	if r.Dir != "" {
		p.to = &plainFolder{r.Dir, r.Force}
	}
	out, err := p.pull(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", r.Repo, c.explain(err, l))
	}
	return out, nil
}

// pulling is a pull in progress.
type pulling struct {
	c         *Client
	l         *Listing
	to        store
	todo      map[string]*todo // by name
	out       Pulled
	done, all int64 // bytes downloaded, and bytes to download
}

// todo is a file to download.
type todo struct {
	File
	there bool
}

func (p *pulling) pull(ctx context.Context, r Request) (*Pulled, error) {
	model, err := p.l.Choose(r.File)
	if err != nil {
		return nil, err
	}
	beside, err := p.l.companions(model)
	if err != nil {
		return nil, err
	}
	p.warn(beside)
	// The graph is downloaded first, because it names the files of its weights. Until then, guesses from names give the
	// number of bytes.
	if err := p.plan(ctx, slices.Concat([]File{model}, p.l.Data(model), beside)); err != nil {
		return nil, err
	}
	if err := p.take(ctx, model); err != nil {
		return nil, err
	}
	locations, err := graph.Locations(p.to.path(model))
	if err != nil {
		return nil, err
	}
	data, err := p.l.located(model, locations)
	if err != nil {
		return nil, err
	}
	rest := append(data, beside...)
	if err := p.plan(ctx, rest); err != nil {
		return nil, err
	}
	for _, f := range rest {
		if err := p.take(ctx, f); err != nil {
			return nil, err
		}
	}
	return p.finish(model)
}

// warn reports the files that a model folder usually has and this one lacks.
func (p *pulling) warn(beside []File) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(beside, func(f File) bool { return slices.Contains(names, filepath.Base(f.Name)) })
	}
	var lacks []string
	if !has("config.json") {
		lacks = append(lacks, "config.json")
	}
	if !has("tokenizer.json", "vocab.json") {
		lacks = append(lacks, "tokenizer")
	}
	if len(lacks) > 0 {
		p.c.log("%s has no %s", p.l.Repo, strings.Join(lacks, " and no "))
	}
}

// plan determines which files are still missing, and returns an error before the start when there is no room for them.
func (p *pulling) plan(ctx context.Context, files []File) error {
	var need, parts int64
	for _, f := range files {
		t, known := p.todo[f.Name]
		if !known {
			f, err := p.c.complete(ctx, p.l, f)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			t = &todo{File: f}
			if t.there, err = p.to.have(f); err != nil {
				return err
			}
			p.todo[f.Name] = t
		}
		if !t.there {
			need += t.Size
			if st, err := os.Stat(p.to.part(t.File)); err == nil {
				parts += min(st.Size(), t.Size)
			}
		}
	}
	p.all = p.done + need
	if p.c.Room == nil || need == parts {
		return nil
	}
	return p.c.Room(p.to.room(), need-parts)
}

// take puts one file into its place.
func (p *pulling) take(ctx context.Context, f File) error {
	t := p.todo[f.Name]
	got := Pull{File: t.File}
	if !t.there {
		var err error
		if got.Fetched, err = p.bring(ctx, t.File); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		t.there = true
	}
	p.out.Files = append(p.out.Files, got)
	return nil
}

// bring downloads a file, unless another process did so while this one waited for the lock.
func (p *pulling) bring(ctx context.Context, f File) (fetched bool, err error) {
	unlock, err := p.c.lock(ctx, p.to, f)
	if err != nil {
		return false, err
	}
	defer unlock()
	start := p.done
	report := func(at int64) {
		p.done = start + at
		if p.c.Progress != nil {
			p.c.Progress(Progress{f.Name, p.done, max(p.all, p.done)})
		}
	}
	if ok, err := p.to.have(f); ok || err != nil {
		report(f.Size)
		return false, err
	}
	from := ""
	if _, plain := p.to.(*plainFolder); plain {
		from = p.c.cacheOf(p.l).find(f)
	}
	if err := p.c.fetch(ctx, p.l, f, p.to.part(f), from, report); err != nil {
		return false, err
	}
	return from == "", p.to.keep(f)
}

func (p *pulling) finish(model File) (*Pulled, error) {
	fetched := slices.ContainsFunc(p.out.Files, func(f Pull) bool { return f.Fetched })
	if err := p.to.finish(fetched); err != nil {
		return nil, err
	}
	p.out.Commit, p.out.Folder, p.out.Model = p.l.Commit, p.to.root(), p.to.path(model)
	p.out.Open = p.out.Model
	if f, err := folder.Open(p.out.Folder); err == nil && filepath.Clean(f.Model) == filepath.Clean(p.out.Model) {
		p.out.Open = p.out.Folder
	}
	return &p.out, nil
}
