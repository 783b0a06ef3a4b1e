package graph

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// externalEntry holds the external_data key-value pairs of a tensor.
type externalEntry struct {
	location string
	offset   int64
	length   int64 // -1 if not given: the shape determines it
	checksum string
}

// parseExternal reads the records of field 13. Keys are those of docs/ExternalData.md in ONNX. An unknown or repeated key
// is refused, because readers disagree on it.
func parseExternal(records [][]byte) (externalEntry, error) {
	e := externalEntry{length: -1}
	seen := map[string]bool{}
	for _, r := range records {
		key, value, err := parseEntry(r[headerLen(r):])
		if err != nil {
			return e, fmt.Errorf("external data: %w", err)
		}
		if seen[key] {
			return e, fmt.Errorf("external data: key %q appears twice", key)
		}
		seen[key] = true
		switch key {
		case "location":
			e.location = value
		case "offset", "length":
			n, err := parseDecimal(value)
			if err != nil {
				return e, fmt.Errorf("external data: %s %q is not a decimal number", key, value)
			}
			if key == "offset" {
				e.offset = n
			} else {
				e.length = n
			}
		case "checksum":
			if e.checksum = strings.ToLower(value); value != "" && (len(value) != 40 || strings.Trim(e.checksum, "0123456789abcdef") != "") {
				return e, fmt.Errorf("external data: checksum %q: want a SHA-1 of 40 hexadecimal digits", value)
			}
		case "basepath":
		default:
			return e, fmt.Errorf("external data: unknown key %q", key)
		}
	}
	return e, checkLocation(e.location)
}

// externalRecords writes the fields of a TensorProto that locate its bytes: external_data and data_location.
func externalRecords(location string, offset, length int64) []byte {
	var out []byte
	for _, kv := range [][2]string{{"location", location}, {"offset", strconv.FormatInt(offset, 10)}, {"length", strconv.FormatInt(length, 10)}} {
		out = appendMessage(out, 13, encodeEntry(kv[0], kv[1]))
	}
	return protowire.AppendVarint(protowire.AppendTag(out, 14, protowire.VarintType), 1)
}

// Locations lists the external data files that a model file names, in the order of first mention, as slash-separated paths
// relative to the model's folder. It opens none of them, and they need not exist.
func Locations(path string) ([]string, error) {
	f, err := openDataFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer f.close()
	var out []string
	files := map[string]*DataFile{}
	_, err = skim(f, func(location string) (*DataFile, error) {
		name := filepath.ToSlash(filepath.Clean(filepath.FromSlash(location)))
		if files[name] == nil {
			files[name] = &DataFile{Path: name, Real: name, Size: math.MaxInt64} // large enough for any range
			out = append(out, name)
		}
		return files[name], nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return out, nil
}

// span opens the file that an entry names and checks that the range is within it. The length must be known.
func (e externalEntry) span(open func(string) (*DataFile, error)) (Span, error) {
	if err := checkLocation(e.location); err != nil {
		return Span{}, err
	}
	f, err := open(e.location)
	if err != nil {
		return Span{}, err
	}
	if stop, ok := checkedAdd(e.offset, e.length); e.offset < 0 || e.length < 0 || !ok || stop > f.Size {
		return Span{}, fmt.Errorf("external data in %q: offset %d + length %d is past the end of the file (%d bytes)", e.location, e.offset, e.length, f.Size)
	}
	return Span{f, e.offset, e.length}, f.declare(e.checksum)
}

// parseEntry reads a StringStringEntryProto: key 1, value 2.
func parseEntry(b []byte) (key, value string, err error) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", "", fmt.Errorf("broken entry")
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return "", "", fmt.Errorf("broken entry")
		}
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			switch num {
			case 1:
				key = string(v)
			case 2:
				value = string(v)
			}
		}
		b = b[n+m:]
	}
	return key, value, nil
}

// parseDecimal accepts plain digits only: no sign, space, hexadecimal or exponent.
func parseDecimal(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// checkLocation refuses, by its text, a location that no model needs: absolute paths, parent folders, device names, and
// ONNX Runtime's in-memory pseudo-location, which would be used as a pointer. Opening the file checks it again.
func checkLocation(loc string) error {
	bad := loc == "" || loc == "." || strings.ContainsAny(loc, "\\\x00") || strings.Contains(loc, "_ORT_MEM_ADDR_") ||
		filepath.IsAbs(loc) || strings.HasPrefix(loc, "/") || !filepath.IsLocal(filepath.FromSlash(loc))
	if len(loc) >= 2 && loc[1] == ':' {
		bad = true
	}
	if bad {
		return fmt.Errorf("external data: location %q is not under the model's folder", loc)
	}
	return nil
}

// sharedStore returns the folder in which the Hugging Face client keeps the large files of all repositories, or "" if the
// model is not in such a cache. Newer clients (2.4, for example) make blobs/<etag> a link to blobs/ab/<hash> of the whole
// cache, so that the graph and its weights are in different folders. A mark that the client writes identifies the store.
func sharedStore(model string) string {
	dir := filepath.Dir(model)
	for _, store := range []string{filepath.Dir(dir), filepath.Join(dir, "..", "..", "blobs")} {
		if st, err := os.Lstat(filepath.Join(store, ".huggingface-shared-blobs")); err == nil && st.Mode().IsRegular() {
			return store
		}
	}
	return ""
}

// resolve returns the absolute path of a file, with symbolic links followed.
func resolve(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// under reports whether path is below dir. Both are resolved.
func under(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
