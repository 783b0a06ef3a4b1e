package results

import (
	"cmp"
	"context"

	"github.com/parquet-go/parquet-go"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/models"
)

// parquetRow is a row of a Parquet file: the columns of cells.csv, with null for an absent number.
type parquetRow struct {
	Model      string   `parquet:"model,dict"`
	Data       string   `parquet:"data,dict"`
	Prompt     int32    `parquet:"prompt"`
	Layer      int32    `parquet:"layer"`
	Tau        float64  `parquet:"tau"`
	Source     string   `parquet:"source,dict"`
	Memory     string   `parquet:"memory,dict"`
	Encoding   string   `parquet:"encoding,dict"`
	P          *float64 `parquet:"p_answer,optional"`
	LogP       *float64 `parquet:"logp_answer,optional"`
	Rank       *int32   `parquet:"rank,optional"`
	Status     string   `parquet:"status,dict"`
	PClean     *float64 `parquet:"p_obscure,optional"`
	PCeiling   *float64 `parquet:"p_explicit,optional"`
	Top        []int64  `parquet:"top,list"`
	Convention string   `parquet:"convention,dict"`
	Site       string   `parquet:"site,dict"`
	Head       *int32   `parquet:"head,optional"`
	Op         string   `parquet:"op,dict"`
}

// parquetBatch is the number of rows that are converted at once.
const parquetBatch = 1 << 14

// WriteParquet writes the cells of runs as one Parquet file, compressed with Zstandard. It writes the file completely or
// not at all. Without force it refuses to replace an existing file. When ctx ends first, it returns the context's error.
func WriteParquet(ctx context.Context, path string, runs []*Run, force bool) error {
	f, err := atomicfile.Create(path, force)
	if err != nil {
		return err
	}
	defer f.Abort()
	w := parquet.NewGenericWriter[parquetRow](f, parquet.Compression(&parquet.Zstd))
	for _, r := range runs {
		prompts := map[int]*Prompt{}
		for i := range r.Prompts {
			prompts[r.Prompts[i].Index] = &r.Prompts[i]
		}
		rows := make([]parquetRow, 0, parquetBatch)
		for i, c := range r.Cells {
			p := prompts[c.Prompt]
			row := parquetRow{
				Model: r.Manifest.Model.Name, Data: r.Manifest.Data.Name, Prompt: int32(c.Prompt), Layer: int32(c.Layer), Tau: c.Tau,
				Source: c.Source, Memory: c.Memory, Encoding: c.Encoding, Convention: r.Manifest.Convention, Site: string(cmp.Or(c.Site, models.DefaultSite)), Op: string(r.Manifest.Operation()), Status: string(c.Status),
				P: known(c.Score, c.P()), LogP: known(c.Score, c.LogP), Rank: known(c.Score, int32(c.Rank)), Top: c.Top,
				PClean: known(p.Clean, p.Clean.P()), PCeiling: known(p.Ceiling, p.Ceiling.P()),
			}
			if h, one := c.Head.Index(); one {
				head := int32(h)
				row.Head = &head
			}
			if c.Rank < 0 { // the authors' files have no ranks
				row.Rank = nil
			}
			if rows = append(rows, row); len(rows) < parquetBatch && i+1 < len(r.Cells) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := w.Write(rows); err != nil {
				return &atomicfile.Error{Path: path, Err: err}
			}
			rows = rows[:0]
		}
	}
	if err := w.Close(); err != nil {
		return &atomicfile.Error{Path: path, Err: err}
	}
	return f.Commit()
}

// known returns a number, or nil for a score without one.
func known[T any](s Score, x T) *T {
	if !s.OK() {
		return nil
	}
	return &x
}
