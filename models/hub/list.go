package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Listing is a commit of a repository with its files.
type Listing struct {
	Repo     string
	Revision string // as requested
	Commit   string // 40 hexadecimal digits
	Files    []File // in the hub's order
}

// File is a file of a commit. Fields that a listing does not contain are empty.
type File struct {
	Name   string // path in the repository, with slashes
	Size   int64  // bytes; -1 when it is not known
	SHA256 string // SHA-256 of a file that git-lfs stores
	Blob   string // git's SHA-1 of any other file
}

// Etag is the checksum by which the hub and the cache identify the file's bytes.
func (f File) Etag() string {
	if f.SHA256 != "" {
		return f.SHA256
	}
	return f.Blob
}

const (
	maxListing = 64 << 20 // bytes of the hub's JSON: 100,000 files
	maxFile    = 1 << 44  // bytes of a file: more than any local disk
)

// List requests the files of a revision from the hub; "" is [DefaultRevision]. Offline it lists the cached files.
func (c *Client) List(ctx context.Context, repo, revision string) (*Listing, error) {
	l := &Listing{Repo: repo, Revision: revision}
	if revision == "" {
		l.Revision = DefaultRevision
	}
	err := errors.Join(CheckRepo(l.Repo), checkRevision(l.Revision))
	switch {
	case err != nil:
	case c.Offline:
		err = c.explain(c.listCache(l), l)
	default:
		err = c.explain(c.retry(ctx, l.Repo, func() (int64, error) { return 0, c.list(ctx, l) }), l)
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", repo, err)
	}
	return l, nil
}

func (c *Client) list(ctx context.Context, l *Listing) error {
	address := c.Endpoint + "/api/models/" + l.Repo + "/revision/" + url.PathEscape(l.Revision) + "?blobs=true"
	a, err := c.ask(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return refused(a)
	}
	body, err := io.ReadAll(io.LimitReader(a.Body, maxListing+1))
	if err != nil {
		return &temporary{error: err}
	}
	if len(body) > maxListing {
		return fmt.Errorf("the list of files is longer than %d MB", maxListing>>20)
	}
	return l.parse(body)
}

// parse reads the hub's description of a model.
func (l *Listing) parse(body []byte) error {
	var doc struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
			Size *int64 `json:"size"`
			Blob string `json:"blobId"`
			LFS  *struct {
				SHA256 string `json:"sha256"`
				Size   int64  `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return hint.With(fmt.Errorf("the answer is not a list of files: %w", err), "a proxy or the sign-in page of a network may have answered instead of the hub")
	}
	if !isHex(doc.SHA, 40) {
		return fmt.Errorf("want a commit of 40 hexadecimal digits, got %q", doc.SHA)
	}
	l.Commit, l.Files = doc.SHA, nil
	for _, s := range doc.Siblings {
		f := File{Name: s.Name, Size: -1, Blob: s.Blob}
		if s.Size != nil {
			f.Size = *s.Size
		}
		if s.LFS != nil { // the blob is then that of git's small pointer to the file
			f.Size, f.SHA256, f.Blob = s.LFS.Size, s.LFS.SHA256, ""
		}
		if err := f.check(); err != nil {
			return err
		}
		l.Files = append(l.Files, f)
	}
	return nil
}

// check refuses names and sizes that must not become a path or an amount of bytes.
func (f File) check() error {
	if err := checkName(f.Name); err != nil {
		return err
	}
	if f.SHA256 != "" && !isHex(f.SHA256, 64) || f.Blob != "" && !isHex(f.Blob, 40) {
		return fmt.Errorf("file %q: %q is not a checksum", f.Name, f.Etag())
	}
	if f.Size < -1 || f.Size > maxFile {
		return fmt.Errorf("file %q: impossible size %d", f.Name, f.Size)
	}
	return nil
}

// complete requests data that is missing in a listing with HEAD.
func (c *Client) complete(ctx context.Context, l *Listing, f File) (File, error) {
	if f.Etag() != "" && f.Size >= 0 {
		return f, nil
	}
	if c.Offline { // a plain file, whose name does not contain the checksum
		sum, err := sha256Of(c.cacheOf(l).path(f))
		f.SHA256 = sum
		return f, err
	}
	err := c.retry(ctx, f.Name, func() (int64, error) {
		a, err := c.ask(ctx, http.MethodHead, c.address(l, f), nil)
		if err != nil {
			return 0, err
		}
		a.Body.Close()
		if a.StatusCode/100 > 3 {
			return 0, refused(a)
		}
		switch {
		case isHex(a.etag, 64):
			f.SHA256, f.Blob = a.etag, ""
		case isHex(a.etag, 40):
			f.SHA256, f.Blob = "", a.etag
		default:
			return 0, fmt.Errorf("the hub sent no checksum: ETag %q", a.etag)
		}
		if f.Size, err = strconv.ParseInt(a.size, 10, 64); err != nil {
			return 0, fmt.Errorf("the hub sent no size: %q", a.size)
		}
		return 0, f.check()
	})
	return f, err
}

// address is the hub's address of a file of the commit.
func (c *Client) address(l *Listing, f File) string {
	var parts []string
	for p := range strings.SplitSeq(f.Name, "/") {
		parts = append(parts, url.PathEscape(p))
	}
	return c.Endpoint + "/" + l.Repo + "/resolve/" + l.Commit + "/" + path.Join(parts...)
}
