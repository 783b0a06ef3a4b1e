package eval

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
)

// The limits of tables and texts. A table is read one row at a time.
const (
	maxTable = 16 << 30
	maxText  = 1 << 30
	maxRow   = 16 << 20
)

const byteOrderMark = "\ufeff"

// readTable reads a file of columns, one row at a time, and returns the SHA-256 of its bytes. It calls row with the columns and
// nil, and then with the values of each row, which are valid until it returns.
func readTable(path string, row func(columns, values []string) error) (sum string, err error) {
	read := map[string]func(io.Reader, func(columns, values []string) error) error{".csv": readCSV, ".jsonl": readJSONL, ".ndjson": readJSONL}
	ext := strings.ToLower(filepath.Ext(path))
	if read[ext] == nil {
		return "", fmt.Errorf("files of type %q cannot be read: want .csv or .jsonl", ext)
	}
	f, err := sidefile.Open(path, maxTable)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(f, h), 1<<16)
	if mark, _ := in.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		in.Discard(len(mark))
	}
	if err := read[ext](in, row); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// whenMissing adds advice to an error about a file that does not exist.
func whenMissing(err error, advice string) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return hint.With(err, advice)
}

// readText reads a text file without its byte order mark, and returns the SHA-256 of its bytes.
func readText(path string) (data []byte, sum string, err error) {
	if data, err = sidefile.ReadFile(path, maxText); err != nil {
		return nil, "", err
	}
	sum = hashText(data)
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	return data, sum, checkUTF8(data, 1)
}

// hashText returns the SHA-256 of a text in hexadecimal.
func hashText(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// checkUTF8 requires UTF-8: with another encoding, every letter that is not ASCII would become different tokens. line is the number
// of the first line.
func checkUTF8(data []byte, line int) error {
	if utf8.Valid(data) {
		return nil
	}
	for text := range bytes.Lines(data) {
		if !utf8.Valid(text) {
			break
		}
		line++
	}
	return hint.With(fmt.Errorf("line %d: bytes that are not UTF-8", line), "save the file as UTF-8")
}

func readCSV(in io.Reader, row func(columns, values []string) error) error {
	r := sidefile.NewRows(in, maxRow)
	var columns []string
	for line := 1; ; line += bytes.Count(r.Raw(), []byte("\n")) {
		values, err := r.Read()
		if err == io.EOF && columns == nil {
			return errors.New("the file is empty")
		} else if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := checkUTF8(r.Raw(), line); err != nil {
			return err
		}
		if columns != nil {
			err = row(columns, values)
		} else {
			columns = slices.Clone(values)
			for i, c := range columns {
				if c != "" && slices.Index(columns, c) != i {
					return fmt.Errorf("two columns are named %q", c)
				}
			}
			err = row(columns, nil)
		}
		if err != nil {
			return err
		}
	}
}

// readJSONL reads objects whose values are texts, numbers or booleans; other values are kept as JSON. The columns are
// those of the first object. Every object must have them.
func readJSONL(in io.Reader, row func(columns, values []string) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRow)
	var columns, values []string
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := checkUTF8(lines.Bytes(), n); err != nil {
			return err
		}
		object, err := readObject(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: want a JSON object: %w", n, err)
		}
		if columns == nil {
			for c := range object {
				columns = append(columns, c)
			}
			slices.Sort(columns)
			values = make([]string, len(columns))
			if err := row(columns, nil); err != nil {
				return err
			}
		}
		for i, c := range columns {
			raw, ok := object[c]
			if !ok {
				return fmt.Errorf("line %d: %q is missing, but line 1 has it", n, c)
			}
			values[i] = ""
			if json.Unmarshal(raw, &values[i]) != nil {
				values[i] = string(raw)
			}
		}
		if err := row(columns, values); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: want at most %d MiB, got more", n+1, maxRow>>20)
	case err != nil:
		return err
	case columns == nil:
		return errors.New("the file is empty")
	}
	return nil
}

// readObject reads a JSON object. A key must not be there twice: which value counts, readers do not agree on.
func readObject(line []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, fmt.Errorf("found %v", t)
	}
	object := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key := t.(string) // the decoder accepts only strings as keys
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("the key %q is there twice", key)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		object[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(line[d.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("found %q after it", rest[:min(len(rest), 20)])
	}
	return object, nil
}
