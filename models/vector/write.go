package vector

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	goruntime "runtime"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Write makes a file that holds v, in the format of path's extension. .npy keeps the numbers only. .gguf names the vector by its
// layer, not by v.Name. The file appears whole or not at all; unless force is set an existing file is left alone and the error is
// an [fs.ErrExist].
func Write(path string, v *Vector, force bool) error {
	if err := write(path, v, force); err != nil {
		return fmt.Errorf("write vector %q: %w", path, err)
	}
	return nil
}

func write(path string, v *Vector, force bool) error {
	form, err := formatOf(path)
	if err != nil {
		return err
	}
	if n := len(v.Data); n < 1 || n > MaxWidth {
		return fmt.Errorf("%d elements, want 1 to %d", n, MaxWidth)
	}
	if err := finite(v.Data); err != nil {
		return err
	}
	for _, s := range append([]string{v.Name}, flatten(v.Meta)...) {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%q is not valid UTF-8", s)
		}
	}
	data, err := form.encode(v)
	if err != nil {
		return err
	}
	return publish(path, data, force, os.Link)
}

func flatten(m map[string]string) []string {
	var out []string
	for k, s := range m {
		out = append(out, k, s)
	}
	return out
}

// publish writes data to a new file beside path, syncs it, and gives it its name. link is os.Link; file systems without hard links
// take the second-best way.
func publish(path string, data []byte, force bool, link func(from, to string) error) (err error) {
	exists := graph.Hint(fs.ErrExist, "choose another name, or force")
	if _, err := os.Lstat(path); err == nil && !force {
		return exists // link would find out too, but only after the work
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()+".tmp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return bare(err)
	}
	defer os.Remove(temp) // fails once it has its name
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if force {
		err = os.Rename(temp, path)
	} else if err = link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		// Take the name with an empty file, which nobody else can do at the same time, then replace that.
		var own *os.File
		if own, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err == nil {
			own.Close()
			if err = os.Rename(temp, path); err != nil {
				os.Remove(path)
			}
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return exists
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name last. Windows has no such call and does not need it.
func syncDir(dir string) error {
	if goruntime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func appendFloats(out []byte, v []float32) []byte {
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}
