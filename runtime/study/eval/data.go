package eval

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Data is a file of prompts.
type Data struct {
	File    results.File
	Columns []string // names and order as in the file
	Rows    []Row    // those to evaluate, from the first
	Count   int      // rows in the file

	pairs    int        // most memories of a row, each with its phrase
	further  []int      // indexes of the columns that the prompts do not have
	entities [][]string // the memories of all rows; nil unless they were asked for
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
// prompt and an answer are required; other columns are allowed, and [Run] keeps them with the results. A byte order mark and
// carriage returns at line ends are not part of a text.
//
// A prompt may have further memories, each for its own phrase: in the columns explicit_entity_2 (or memory_2) and
// obscure_entity_2, then those with _3, and so on. The two cells of a pair are both filled or both empty.
func ReadData(path string) (*Data, error) { return readData(path, part{}) }

// part says what to keep of a file of prompts. All rows are checked and counted.
type part struct {
	column   string // of the prompts; "" is the first of twoHopColumns
	rows     int    // the first rows; 0 for all
	entities bool   // the memories of all rows
}

// partOf says what an evaluation needs: the memories of other prompts may be those of rows that it does not evaluate.
func partOf(c *Config) part {
	p := part{column: c.Column, rows: c.Limit, entities: drawsWrong(c.Memories)}
	if slices.ContainsFunc(c.Memories, func(s string) bool { return strings.HasPrefix(s, "wrong:") }) {
		p.rows = 0
	}
	return p
}

func readData(path string, p part) (*Data, error) {
	d := &Data{File: results.File{Name: filepath.Base(path)}}
	var r *rowReader
	sum, err := readTable(path, func(columns, values []string) (err error) {
		if values == nil {
			d.Columns = columns
			if r, err = newRowReader(columns, p.column); err == nil {
				d.further = r.further()
			}
			return err
		}
		row, err := r.read(d.Count, values)
		if err != nil {
			return err
		}
		if d.Count++; p.rows == 0 || len(d.Rows) < p.rows {
			row.Values = slices.Clone(values)
			d.Rows = append(d.Rows, row)
		}
		d.pairs = max(d.pairs, 1+len(row.More))
		if p.entities {
			var own []string
			for _, pair := range row.Pairs() {
				own = append(own, strings.Clone(pair.Entity)) // not the whole row
			}
			d.entities = append(d.entities, own)
		}
		return nil
	})
	if err == nil && d.Count == 0 {
		err = errors.New("the file has no prompts")
	}
	if err != nil {
		err = whenMissing(err, "want a .csv or .jsonl file with the columns prompt, memory and answer, or with those of the paper; onnx-inject demo writes an example: onnx-inject-demo/prompts.csv")
		return nil, fmt.Errorf("data %q: %w", path, err)
	}
	d.File.SHA256 = sum
	return d, nil
}

// rowReader makes prompts of rows.
type rowReader struct {
	columns                                    []string
	twoHop, oneHop, explicit, obscure, answers int // indexes of columns; -1 for none
	more                                       []pairColumns
}

// pairColumns are the columns of a memory and of its phrase.
type pairColumns struct{ entity, phrase int }

func newRowReader(columns []string, prompts string) (*rowReader, error) {
	at := func(names []string) int {
		for _, name := range names {
			if i := slices.Index(columns, name); i >= 0 {
				return i
			}
		}
		return -1
	}
	r := &rowReader{columns, at(twoHopColumns), at(oneHopColumns), at(entityColumns), at(obscureColumns), at(answerColumns), nil}
	numbered := func(names []string, n int) (out []string) {
		for _, name := range names {
			out = append(out, name+"_"+strconv.Itoa(n))
		}
		return out
	}
	for n := 2; ; n++ {
		phrases := numbered(obscureColumns, n)
		pair := pairColumns{at(numbered(entityColumns, n)), at(phrases)}
		if pair.phrase < 0 {
			break
		}
		if pair.entity < 0 {
			return nil, fmt.Errorf("the column %s needs one of its memories: %s", columns[pair.phrase], strings.Join(numbered(entityColumns, n), " or "))
		}
		r.more = append(r.more, pair)
	}
	if prompts != "" {
		if r.twoHop = slices.Index(columns, prompts); r.twoHop < 0 {
			return nil, fmt.Errorf("no column %q, found %s", prompts, strings.Join(columns, ", "))
		}
	}
	if r.twoHop < 0 || r.answers < 0 {
		return nil, hint.With(fmt.Errorf("want the columns obscure_sentence (or prompt) and answer, found %s", strings.Join(columns, ", ")),
			"the columns of the paper are explicit_sentence, obscure_sentence, explicit_entity, obscure_entity, answer")
	}
	return r, nil
}

func (r *rowReader) read(index int, values []string) (Row, error) {
	text := func(column int) string {
		if column < 0 {
			return ""
		}
		return values[column]
	}
	row := Row{Prompt: results.Prompt{
		Index: index, TwoHop: values[r.twoHop], OneHop: text(r.oneHop), Answer: values[r.answers],
		ExplicitEntity: text(r.explicit), ObscureEntity: text(r.obscure),
	}}
	switch "" {
	case row.TwoHop:
		return row, fmt.Errorf("prompt %d: %s is empty", index, r.columns[r.twoHop])
	case row.Answer:
		return row, fmt.Errorf("prompt %d: %s is empty", index, r.columns[r.answers])
	}
	for _, pair := range r.more {
		entity, phrase := values[pair.entity], values[pair.phrase]
		switch {
		case entity == "" && phrase == "":
			continue
		case entity == "":
			return row, fmt.Errorf("prompt %d: want a memory for each phrase: %s is %q, and %s is empty", index, r.columns[pair.phrase], phrase, r.columns[pair.entity])
		case phrase == "":
			return row, fmt.Errorf("prompt %d: want a phrase for each memory: %s is %q, and %s is empty", index, r.columns[pair.entity], entity, r.columns[pair.phrase])
		case row.ExplicitEntity == "" || row.ObscureEntity == "":
			return row, fmt.Errorf("prompt %d: %s is %q, but the first memory or its phrase is empty", index, r.columns[pair.entity], entity)
		}
		row.More = append(row.More, results.Pair{Entity: entity, Phrase: phrase})
	}
	return row, nil
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
