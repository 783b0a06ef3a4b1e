package lib

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
)

// openMember opens one file inside a wheel (a zip) or an npm package (a gzipped tar).
func openMember(archive, member string) (io.ReadCloser, error) {
	if strings.HasSuffix(archive, ".whl") {
		return openZip(archive, member)
	}
	return openTar(archive, member)
}

// closers reads from its first member and closes all members in order.
type closers struct {
	io.Reader
	all []io.Closer
}

func (c closers) Close() error {
	var first error
	for _, x := range c.all {
		if err := x.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func openZip(archive, member string) (io.ReadCloser, error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return nil, err
	}
	f, err := z.Open(member)
	if err != nil {
		z.Close()
		return nil, err
	}
	return closers{f, []io.Closer{f, z}}, nil
}

func openTar(archive, member string) (io.ReadCloser, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err != nil {
			f.Close()
			if err == io.EOF {
				err = fmt.Errorf("member %q: not in the package", member)
			}
			return nil, err
		}
		if h.Name == member && h.Typeflag == tar.TypeReg {
			return closers{t, []io.Closer{z, f}}, nil
		}
	}
}
