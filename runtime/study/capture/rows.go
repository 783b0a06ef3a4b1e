package capture

import (
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

// RowsFile is the table of rows.
const RowsFile = "rows.parquet"

// Row is a row of rows.parquet.
type Row struct {
	Prompt   int32  `parquet:"prompt"`      // its number in the data, from 0
	Position int32  `parquet:"position"`    // of the token in the prompt, from 0; position 0 is usually the beginning-of-text token
	TokenID  int64  `parquet:"token_id"`    // of the token at this position
	Token    string `parquet:"token,dict"`  // its text
	Shard    int32  `parquet:"shard"`       // the number of the safetensors file
	Row      int32  `parquet:"row"`         // along the first axis of its tensors
	Status   string `parquet:"status,dict"` // "", or why a value is not finite: nan, inf, overflow
}

// rowGroup is how many rows the writer holds in memory.
const rowGroup = 1 << 18

// writeRows writes rows.parquet, completely or not at all. statuses has those of each file.
func (p *plan) writeRows(dir string, statuses []map[int]string, token func(int64) string) error {
	path := filepath.Join(dir, RowsFile)
	out, err := atomicfile.Create(path, true)
	if err != nil {
		return err
	}
	defer out.Abort()
	w := parquet.NewGenericWriter[Row](out, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(rowGroup))
	for number, f := range p.files {
		for i, at := range f.prompts {
			q := &p.prompts[at]
			rows := make([]Row, q.rows())
			for r := range rows {
				id, row := q.ids[q.from+r], f.offsets[i]+r
				rows[r] = Row{int32(q.index), int32(q.from + r), id, token(id), int32(number), int32(row), statuses[number][row]}
			}
			if _, err := w.Write(rows); err != nil {
				return &atomicfile.Error{Path: path, Err: err}
			}
		}
	}
	if err := w.Close(); err != nil {
		return &atomicfile.Error{Path: path, Err: err}
	}
	return out.Commit()
}
