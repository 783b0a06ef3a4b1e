package vector

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// ShardName returns the name of a file in a folder of captured values, from 000000.safetensors.
func ShardName(number int) string { return fmt.Sprintf("%06d.safetensors", number) }

// shard finds the file of a folder of captured values that has a row of a hook, and the path of the row in it: the row
// HOOK[9] of the folder may be DIR/000001.safetensors#HOOK[2].
func shard(dir, name string) (string, error) {
	hook, row, ok := splitRow(name)
	if !ok {
		err := fmt.Errorf("%q is a folder, want one of its rows", dir)
		if name != "" {
			err = fmt.Errorf("%q names no row", name)
		}
		return "", hint.With(err, chooseRow(dir))
	}
	rows := 0
	for number := 0; ; number++ {
		path := filepath.Join(dir, ShardName(number))
		n := 0
		err := open(path, func(_ io.ReaderAt, c *contents) error {
			t := c.find(hook)
			if t == nil || len(t.dims) == 0 {
				return hint.With(fmt.Errorf("no tensor %q in %s", hook, ShardName(number)), chooseRow(dir))
			}
			n = int(t.dims[0])
			return nil
		})
		switch {
		case errors.Is(err, fs.ErrNotExist) && number == 0:
			return "", hint.With(fmt.Errorf("no %s in the folder", ShardName(0)), "give a folder written by onnx-inject capture")
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("row %d, the folder has %d rows of %s, from 0", row, rows, hook)
		case err != nil:
			return "", err
		case row-rows < n:
			return fmt.Sprintf("%s#%s[%d]", path, hook, row-rows), nil
		}
		rows += n
	}
}

// chooseRow is advice on a path of a folder: it names the hooks of the first file.
func chooseRow(dir string) string {
	var names []string
	open(filepath.Join(dir, ShardName(0)), func(_ io.ReaderAt, c *contents) error { // without that file, an example does
		for _, t := range c.tensors {
			names = append(names, t.name)
		}
		return nil
	})
	const few = 6
	switch n := len(names); {
	case n == 0:
		return "such as " + dir + "#blocks.7.hook_resid_post[0]"
	case n > few:
		names = append(names[:few], fmt.Sprintf("%d more", n-few))
	}
	return "give " + dir + "#HOOK[ROW], where HOOK is one of " + strings.Join(names, ", ")
}

// splitRow reads NAME[ROW].
func splitRow(s string) (name string, row int, ok bool) {
	name, digits, ok := strings.Cut(strings.TrimSuffix(s, "]"), "[")
	if !ok || !strings.HasSuffix(s, "]") || name == "" {
		return "", 0, false
	}
	row, err := strconv.Atoi(digits)
	return name, row, err == nil && row >= 0 && strconv.Itoa(row) == digits
}

// find returns the tensor of a name, or nil.
func (c *contents) find(name string) *tensor {
	if i := slices.IndexFunc(c.tensors, func(t tensor) bool { return t.name == name }); i >= 0 {
		return &c.tensors[i]
	}
	return nil
}

// named returns the tensor of a name, or a row of the tensor when the name is NAME[ROW]: the row as a vector, whatever its axes.
// It returns nil when there is none.
func (c *contents) named(name string) (*tensor, error) {
	if t := c.find(name); t != nil {
		return t, nil
	}
	base, row, ok := splitRow(name)
	t := c.find(base)
	if !ok || t == nil {
		return nil, nil
	}
	if len(t.dims) < 2 || int64(row) >= t.dims[0] {
		return nil, fmt.Errorf("tensor %q has shape %v, so it has no row %d", base, t.dims, row)
	}
	out := *t
	width := int64(1)
	for _, d := range t.dims[1:] { // the reader has checked that all of it is in the file
		width *= d
	}
	out.name, out.dims, out.offset = name, []int64{width}, t.offset+int64(row)*width*t.dtype.Bits()/8
	return &out, nil
}

// captured reports whether a path is a folder of captured values. A folder with the extension of a vector file is not.
func captured(path string) bool {
	st, err := os.Stat(path)
	_, unknown := formatOf(path)
	return err == nil && st.IsDir() && unknown != nil
}
