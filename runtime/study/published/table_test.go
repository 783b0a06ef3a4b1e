package published_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// table is the file of a figure: bare numbers that tell any two float32 apart, one row a prompt: p0, the one-hop p, p with each memory.
func (f figure) table() string {
	name := fmt.Sprintf("%s_%s_%s_l%d_tau%g.csv", strings.TrimSuffix(f.data, ".csv"), f.encoding, strings.ReplaceAll(f.source, ":", "_"), f.layer, f.tau)
	return filepath.Join("testdata", name)
}

func writeTable(t *testing.T, f figure, run *results.Run) {
	t.Helper()
	if err := os.WriteFile(f.table(), table(f, run), 0o644); err != nil {
		t.Fatal(err)
	}
}

func table(f figure, run *results.Run) []byte {
	digits := func(p float64) string { return strconv.FormatFloat(p, 'g', 9, 64) }
	rows := make([][]string, len(run.Prompts))
	for i, p := range run.Prompts {
		rows[i] = []string{digits(p.Clean.P()), digits(p.Ceiling.P())}
	}
	for _, c := range run.Cells {
		if c.Source == f.source && c.Layer == f.layer && c.Tau == f.tau {
			rows[c.Prompt] = append(rows[c.Prompt], digits(c.P()))
		}
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.WriteAll(rows); err != nil { // never: it writes to memory
		panic(err)
	}
	return out.Bytes()
}

func readTable(t *testing.T, f figure) *results.Run {
	t.Helper()
	text, err := os.ReadFile(f.table())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	run := &results.Run{}
	for i, row := range rows {
		scores := make([]results.Score, len(row))
		for j, text := range row {
			p, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			scores[j] = results.Score{LogP: math.Log(p), Rank: -1}
		}
		run.Prompts = append(run.Prompts, results.Prompt{Index: i, Clean: scores[0], Ceiling: scores[1]})
		for _, s := range scores[2:] {
			run.Cells = append(run.Cells, results.Cell{Prompt: i, Layer: f.layer, Tau: f.tau, Source: f.source, Score: s})
		}
	}
	return run
}
