package eval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// The limits of the further columns. A row of results is read as a whole, and all rows are in memory together.
const (
	mostColumns = 1000
	mostFurther = 1 << 20 // bytes of one row in all further columns, and of their names
)

// further lists the columns whose texts no prompt has. A column without a name is not one of them: nobody could ask for it.
func (r *rowReader) further() (out []int) {
	used := []int{r.twoHop, r.oneHop, r.explicit, r.obscure, r.answers}
	for _, pair := range r.more {
		used = append(used, pair.entity, pair.phrase)
	}
	for i, name := range r.columns {
		if name != "" && !slices.Contains(used, i) {
			out = append(out, i)
		}
	}
	return out
}

// keep returns the names that the further columns have in the results. Columns that are too many or too long for them are refused.
func (d *Data) keep() ([]string, error) {
	const remove = "remove the columns that the evaluation does not need"
	if n := len(d.further); n > mostColumns {
		return nil, hint.With(fmt.Errorf("want at most %d columns besides those of the prompts, got %d", mostColumns, n), remove)
	}
	names := pick(d.Columns, d.further)
	if n := length(names); n > mostFurther {
		return nil, hint.With(fmt.Errorf("want at most %d MiB for the names of all columns, got %d bytes", mostFurther>>20, n), remove)
	}
	for _, name := range names {
		if strings.Contains(name, "\r") { // readers of CSV change it
			return nil, hint.With(fmt.Errorf("the name %q of a column contains a carriage return", name), "rename the column")
		}
	}
	for i := range d.Rows {
		if n := length(d.furtherOf(i)); n > mostFurther {
			return nil, hint.With(fmt.Errorf("prompt %d: want at most %d MiB in the columns besides those of the prompts, got %d bytes", i, mostFurther>>20, n), remove)
		}
	}
	return results.NameColumns(names, d.pairs), nil
}

// furtherOf returns the texts of a row in the further columns.
func (d *Data) furtherOf(row int) []string { return pick(d.Rows[row].Values, d.further) }

// renamed describes the further columns whose names the results have for something else.
func (e *evaluation) renamed() (out []string) {
	for i, name := range pick(e.data.Columns, e.data.further) {
		if as := e.columns[i]; as != name {
			out = append(out, fmt.Sprintf("%s is %s", name, as))
		}
	}
	return out
}

// length is the number of bytes of texts together.
func length(texts []string) (n int) {
	for _, s := range texts {
		n += len(s)
	}
	return n
}
