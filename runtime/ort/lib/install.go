package lib

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Installed reports the result of [Install].
type Installed struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Flavor  Flavor `json:"flavor"`
	Client  string `json:"client"`  // pip or npm
	Package string `json:"package"` // the package that the file comes from
	Already bool   `json:"already"` // a valid file was there, so nothing was downloaded
}

// InstallOptions selects a library and a folder. The zero value is the CPU library in the user cache.
type InstallOptions struct {
	Dir    string       // where to put the library; "" = [CacheDir]
	Flavor Flavor       // "" = CPU
	Log    func(string) // receives a line before each download; may be nil
}

// Install puts the pinned library into a folder and returns its path. It does not replace a valid file. A file gets its
// final name only after its SHA-256 sum has been compared, so a failed download leaves no file.
func Install(ctx context.Context, o InstallOptions) (Installed, error) {
	if o.Flavor == "" {
		o.Flavor = CPU
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.Dir == "" {
		dir, err := CacheDir(o.Flavor)
		if err != nil {
			return Installed{}, fmt.Errorf("install ONNX Runtime: %w", err)
		}
		o.Dir = dir
	}
	return install(ctx, o, pinned(), platform(), clients)
}

// install is Install with explicit inputs: tests pass their own manifest and clients.
func install(ctx context.Context, o InstallOptions, m Manifest, platform string, clients []client) (Installed, error) {
	wrap := func(err error, advice string) error {
		return hint.With(fmt.Errorf("install ONNX Runtime %s (%s) for %s: %w", m.Version, o.Flavor, platform, err), advice)
	}
	builds := m.builds(platform, o.Flavor)
	if len(builds) == 0 {
		return Installed{}, wrap(errors.New("no build is pinned for this platform"),
			"get the library from the project's own releases and name it with --ort-lib")
	}
	done := func(b Build) Installed {
		return Installed{Path: b.library(o.Dir), Version: m.Version, Flavor: o.Flavor, Client: b.Client, Package: b.Package}
	}
	for _, b := range builds {
		if b.verify(o.Dir) == nil {
			in := done(b)
			in.Already = true
			return in, nil
		}
	}
	var tried []error
	for _, b := range builds {
		for _, c := range clients {
			argv := c.find(ctx)
			if c.name != b.Client || argv == nil {
				continue
			}
			o.Log(fmt.Sprintf("downloading %s %s with %s (%d MB)", b.Package, m.Version, b.Client, b.Megabytes))
			err := b.fetch(ctx, o.Dir, m.Version, c, argv)
			if err == nil {
				return done(b), nil
			}
			tried = append(tried, fmt.Errorf("%s: %w", b.Client, err))
		}
	}
	if err := ctx.Err(); err != nil { // the context's end is the reason for the failures
		return Installed{}, wrap(err, "")
	}
	if len(tried) == 0 {
		return Installed{}, wrap(errors.New("no package client found"), "install Python's pip or npm, or name a library with --ort-lib")
	}
	return Installed{}, wrap(errors.Join(tried...), "name a library that you already have with --ort-lib or ONNX_INJECT_ORT_LIB")
}

// fetch downloads the build's package into a temporary folder and copies the pinned files out of it into dir.
func (b Build) fetch(ctx context.Context, dir, version string, c client, argv []string) error {
	tmp, err := os.MkdirTemp("", "onnx-inject-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	archive, err := c.download(ctx, argv, b, version, tmp)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// The library is first in the list and is installed last: when it exists, the other files exist too.
	for i := len(b.Files) - 1; i >= 0; i-- {
		if err := b.Files[i].extract(archive, dir); err != nil {
			return err
		}
	}
	return nil
}

// extract copies one member of an archive into dir: it writes a temporary file there, compares, syncs and renames it.
func (f File) extract(archive, dir string) (err error) {
	member, err := openMember(archive, f.Member)
	if err != nil {
		return err
	}
	defer member.Close()
	out, err := os.CreateTemp(dir, f.name()+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name())
		}
	}()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, h), member); err != nil {
		return fmt.Errorf("member %q: %w", f.Member, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("member %q: want sha256 %s, got %s", f.Member, f.SHA256, got)
	}
	if err := errors.Join(out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), filepath.Join(dir, f.name()))
}
