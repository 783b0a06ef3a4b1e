package eval

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Data is a file of prompts.
type Data struct {
	File    results.File
	Columns []string // names and order as in the file
	Rows    []Row
}

// Row is one prompt of the data. Its texts are exactly those of the file, including leading, trailing and double spaces.
type Row struct {
	results.Prompt
	Values []string // in the order of Data.Columns
}

// The columns with a meaning. The first name is the paper's name and has priority over the others, because the prompts.csv
// of a result folder stores the number of the prompt in its column prompt.
var (
	twoHopColumns  = []string{"obscure_sentence", "prompt"}
	oneHopColumns  = []string{"explicit_sentence"}
	entityColumns  = []string{"explicit_entity", "memory"}
	obscureColumns = []string{"obscure_entity"}
	answerColumns  = []string{"answer"}
)

// ReadData reads a file of prompts: .csv with a header line, or .jsonl with one object per line. Columns are those of the
// paper (explicit_sentence, obscure_sentence, explicit_entity, obscure_entity, answer) or prompt, memory and answer. A
// prompt and an answer are required; other columns are allowed. A byte order mark and carriage returns at line ends are
// not part of a text.
func ReadData(path string) (*Data, error) {
	d, err := readData(path)
	if err != nil {
		return nil, fmt.Errorf("data %q: %w", path, err)
	}
	return d, nil
}

func readData(path string) (*Data, error) {
	columns, rows, sum, err := readTable(path)
	if err != nil {
		return nil, err
	}
	d := &Data{File: results.File{Name: filepath.Base(path), SHA256: sum}, Columns: columns}
	at := func(names []string) int {
		for _, name := range names {
			if i := slices.Index(columns, name); i >= 0 {
				return i
			}
		}
		return -1
	}
	twoHop, answer := at(twoHopColumns), at(answerColumns)
	if twoHop < 0 || answer < 0 {
		return nil, hint.With(fmt.Errorf("want the columns obscure_sentence (or prompt) and answer, found %s", strings.Join(columns, ", ")),
			"the columns of the paper are explicit_sentence, obscure_sentence, explicit_entity, obscure_entity, answer")
	}
	if len(rows) == 0 {
		return nil, errors.New("the file has no prompts")
	}
	for i, values := range rows {
		text := func(names []string) string {
			if c := at(names); c >= 0 {
				return values[c]
			}
			return ""
		}
		r := Row{Values: values, Prompt: results.Prompt{
			Index: i, TwoHop: values[twoHop], OneHop: text(oneHopColumns), Answer: values[answer],
			ExplicitEntity: text(entityColumns), ObscureEntity: text(obscureColumns),
		}}
		switch "" {
		case r.TwoHop:
			return nil, fmt.Errorf("prompt %d: %s is empty", i, columns[twoHop])
		case r.Answer:
			return nil, fmt.Errorf("prompt %d: %s is empty", i, columns[answer])
		}
		d.Rows = append(d.Rows, r)
	}
	return d, nil
}

// Column returns the texts of one column.
func (d *Data) Column(name string) ([]string, error) {
	i := slices.Index(d.Columns, name)
	if i < 0 {
		return nil, fmt.Errorf("no column %q in %s, it has %s", name, d.File.Name, strings.Join(d.Columns, ", "))
	}
	out := make([]string, len(d.Rows))
	for j, r := range d.Rows {
		out[j] = r.Values[i]
	}
	return out, nil
}

// readTable reads a file of columns, and the SHA-256 of its bytes.
func readTable(path string) (columns []string, rows [][]string, sum string, err error) {
	data, sum, err := readText(path)
	if err != nil {
		return nil, nil, "", err
	}
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".csv":
		columns, rows, err = readCSV(data)
	case ".jsonl", ".ndjson":
		columns, rows, err = readJSONL(data)
	default:
		err = fmt.Errorf("files of type %q cannot be read: want .csv or .jsonl", ext)
	}
	return columns, rows, sum, err
}

// maxData is how large a file of prompts or texts may be.
const maxData = 4 << 30

// readText reads a text file without its byte order mark, and returns the SHA-256 of its bytes. It requires UTF-8: with
// another encoding, every letter that is not ASCII would become different tokens.
func readText(path string) (data []byte, sum string, err error) {
	if data, err = sidefile.ReadFile(path, maxData); err != nil {
		return nil, "", err
	}
	digest := sha256.Sum256(data)
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		line := 1
		for text := range bytes.Lines(data) {
			if !utf8.Valid(text) {
				break
			}
			line++
		}
		return nil, "", hint.With(fmt.Errorf("line %d: bytes that are not UTF-8", line), "save the file as UTF-8")
	}
	return data, hex.EncodeToString(digest[:]), nil
}

func readCSV(data []byte) (columns []string, rows [][]string, err error) {
	r := csv.NewReader(bytes.NewReader(data))
	if columns, err = r.Read(); err == io.EOF {
		return nil, nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, nil, err
	}
	for i, c := range columns {
		if c != "" && slices.Index(columns, c) != i {
			return nil, nil, fmt.Errorf("two columns are named %q", c)
		}
	}
	rows, err = r.ReadAll()
	return columns, rows, err
}

// readJSONL reads objects whose values are texts, numbers or booleans; other values are kept as JSON. The columns are
// those of the first object. Every object must have them.
func readJSONL(data []byte) (columns []string, rows [][]string, err error) {
	for n, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(line, &object); err != nil {
			return nil, nil, fmt.Errorf("line %d: want a JSON object: %w", n+1, err)
		}
		if columns == nil {
			for c := range object {
				columns = append(columns, c)
			}
			slices.Sort(columns)
		}
		row := make([]string, len(columns))
		for i, c := range columns {
			raw, ok := object[c]
			if !ok {
				return nil, nil, fmt.Errorf("line %d: %q is missing, but line 1 has it", n+1, c)
			}
			if json.Unmarshal(raw, &row[i]) != nil {
				row[i] = string(raw)
			}
		}
		rows = append(rows, row)
	}
	if columns == nil {
		return nil, nil, errors.New("the file is empty")
	}
	return columns, rows, nil
}
