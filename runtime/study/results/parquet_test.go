package results

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// many returns a run of prompts with 100 cells each.
func many(prompts int) *Run {
	r := &Run{Manifest: manifest()}
	for i := range prompts {
		p, cells := prompt(i)
		r.Prompts = append(r.Prompts, p)
		for range 25 {
			r.Cells = append(r.Cells, cells...)
		}
	}
	return r
}

// parquetFile names for the helper process of TestD05PartsOfParquet what to write.
const parquetFile = "ONNX_INJECT_TEST_PARQUET"

// TestParquetHelper is the process that TestD05PartsOfParquet kills. By itself it has nothing to test.
func TestParquetHelper(t *testing.T) {
	path := os.Getenv(parquetFile)
	if path == "" {
		return
	}
	small, large := many(50), many(300)
	fmt.Println("ready")
	for {
		for _, r := range []*Run{large, small} {
			if err := WriteParquet(t.Context(), path, []*Run{r}, true); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A process that is killed while it writes a Parquet file leaves the old file or the new one, each with its footer. The matrix speaks of
// parts that are joined; here the cells are safe in cells.csv, and a Parquet file is written from them in one go, under a temporary
// name.
func TestD05PartsOfParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cells.parquet")
	r := rand.New(rand.NewPCG(5, 5))
	found := map[int]int{}
	for range 8 {
		c := exec.Command(os.Args[0], "-test.run=^TestParquetHelper$")
		c.Env = append(os.Environ(), parquetFile+"="+path)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 10))
		for range 1000 { // until there is a file
			if _, err := os.Stat(path); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Duration(r.Int64N(int64(150 * time.Millisecond))))
		c.Process.Kill()
		c.Wait()
		rows, err := parquet.ReadFile[parquetRow](path)
		if err != nil || len(rows) != 50*100 && len(rows) != 300*100 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		found[len(rows)]++
	}
	t.Logf("rows found, and how often: %v", found)
}

// A write that is stopped leaves no file, and an unfit path is an error.
func TestParquetStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cells.parquet")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WriteParquet(ctx, path, []*Run{many(1)}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
	if err := WriteParquet(t.Context(), filepath.Join(path, "none"), nil, false); err == nil {
		t.Error("wrote into a folder that does not exist")
	}
}
