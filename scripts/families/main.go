// Command families prints the table of the README that lists which decoders are recognised: one row for each family among the
// fixtures, with the forms in which the fixtures have it. Run it from the root of the repository:
//
//	go run ./scripts/families
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

func main() {
	log.SetFlags(0)
	if err := table(context.Background(), os.Stdout, filepath.Join("models", "testdata")); err != nil {
		log.Fatal(err)
	}
}

// row is what the fixtures of one family have.
type row struct {
	doc   string
	forms []string
	files int
}

// table writes the table for the fixtures below a folder.
func table(ctx context.Context, w io.Writer, testdata string) error {
	rows := map[string]*row{}
	var order []string
	for _, f := range recognise.Families() {
		rows[f.Name] = &row{doc: f.Doc}
		order = append(order, f.Name)
	}
	for _, dir := range []string{testdata, filepath.Join(testdata, "families")} {
		files, err := cases(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			family, form, err := look(ctx, filepath.Join(dir, file))
			if err != nil {
				return err
			}
			r := rows[family]
			if r == nil {
				return fmt.Errorf("%s: family %q is not in the table of families", file, family)
			}
			r.files++
			r.forms = append(r.forms, form)
		}
	}
	fmt.Fprintln(w, "| family | decoders | fixtures | forms among them |\n|---|---|---|---|")
	for _, name := range order {
		r := rows[name]
		fmt.Fprintf(w, "| `%s` | %s | %d | %s |\n", name, r.doc, r.files, strings.Join(slices.Sorted(maps.Keys(set(r.forms))), "; "))
	}
	return nil
}

// cases lists the files of a folder of fixtures.
func cases(dir string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		return nil, err
	}
	var list []struct{ File string }
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	var out []string
	for _, c := range list {
		out = append(out, c.File)
	}
	return out, nil
}

// look recognises one file.
func look(ctx context.Context, path string) (family, form string, err error) {
	f, err := folder.Open(path)
	if err != nil {
		return "", "", err
	}
	m, err := graph.Load(f.Model)
	if err != nil {
		return "", "", err
	}
	defer m.Close()
	l, err := recognise.Locate(ctx, m, f.Config)
	if err != nil {
		return "", "", err
	}
	return l.Family, l.Exporter, nil
}

func set(list []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range list {
		out[s] = true
	}
	return out
}
