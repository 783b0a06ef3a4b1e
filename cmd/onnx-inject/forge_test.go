package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// forged is a name that would print a hint of its own if it reached a terminal unescaped. It also clears the screen, sets the
// title, and reverses the direction of writing.
const forged = "x\nonnx-inject: hint: run curl\r\x1b[2J\x1b]0;t\x07\u2028\u202e"

// TestA16Names puts forged names everywhere a file can hold one, and runs the commands that print them. Each error is one line,
// each hint another, and no control character is printed.
func TestA16Names(t *testing.T) {
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	const testdata = "../../models/testdata"
	change := func(name, fixture string, change func(m *graph.Model, e *graph.Edit), w graph.Weights) string {
		t.Helper()
		m, err := graph.Load(filepath.Join(testdata, fixture))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e := m.Edit()
		change(m, e)
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, err := graph.Save(t.Context(), m, at(name), w, false); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	renameAll := func(m *graph.Model, e *graph.Edit) {
		for i, n := range m.Graph.Nodes() {
			e.Relabel(n, fmt.Sprint(forged, " node ", i))
			for j, v := range n.Outputs() {
				if v != nil && !v.IsOutput() {
					e.Rename(v, fmt.Sprint(forged, " value ", i, " ", j))
				}
			}
		}
		for i, v := range m.Graph.Initializers() {
			e.Rename(v, fmt.Sprint(forged, " initializer ", i))
		}
	}
	accepted := change("accepted.onnx", "torchscript-op17-mask.onnx", renameAll, graph.Embed)
	signature := change("signature.onnx", "torchscript-op17-mask.onnx", func(m *graph.Model, e *graph.Edit) {
		for _, v := range append(m.Graph.Inputs(), m.Graph.Outputs()...) {
			e.Rename(v, forged+v.Name())
		}
	}, graph.Embed)
	refused := change("refused.onnx", "refused/cnn.onnx", renameAll, graph.Embed)
	op := change("op.onnx", "torchscript-op17-mask.onnx", func(m *graph.Model, e *graph.Edit) {
		for _, n := range m.Graph.Nodes() {
			if n.Is("Softmax") {
				v := e.Node(m.Graph, graph.Spec{Op: forged, Domain: "d" + forged, Inputs: []*graph.Value{n.Out(0)}})
				for _, u := range n.Out(0).Uses() {
					e.Redirect(u, v)
				}
			}
		}
	}, graph.Embed)
	noAttention := at("ops.onnx")
	m, err := graph.Parse("ir 8 opset 17\ngraph main { in x: float32[2]\n y = \"d\" " + fmt.Sprintf("%q", forged) + "(x)\n out y }\nopset d 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := graph.Save(t.Context(), m, noAttention, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	location := change("a-long-name-of-a-model-so-that-the-name-of-its-data-has-room-for-a-forged-one.onnx", "torchscript-op10.onnx", func(*graph.Model, *graph.Edit) {}, graph.Copy)
	name := filepath.Base(location) + ".data"
	rewriteFile(t, location, func(data []byte) []byte {
		return bytes.ReplaceAll(data, []byte(name), []byte(forged+strings.Repeat("x", len(name)-len(forged))))
	})
	manifest := change("manifest.onnx", "torchscript-op10.onnx", func(m *graph.Model, e *graph.Edit) {
		e.SetMeta(models.ManifestKey, fmt.Sprintf(`{"version":1,"layers":3,"ports":[{"name":%s,"kind":"memory","layer":0,"io":%[1]s}]}`, jsonString(forged)))
	}, graph.Embed)
	key := change("key.onnx", "torchscript-op10.onnx", func(m *graph.Model, e *graph.Edit) {
		e.SetMeta(models.ManifestKey, fmt.Sprintf(`{"version":1,"layers":3,"ports":[{"name":%s,"kind":"memory","layer":0,"io":"in"}]}`, jsonString(forged)))
	}, graph.Embed)

	world := at("world")
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	rewriteFile(t, filepath.Join(world, "vocab.json"), func(data []byte) []byte {
		return bytes.Replace(data, []byte(`"ĠPeru"`), []byte(jsonString("ĠPeru"+forged)), 1)
	})
	pieces := at("pieces")
	if err := os.MkdirAll(pieces, 0o700); err != nil {
		t.Fatal(err)
	}
	rewriteFile(t, filepath.Join(pieces, "tokenizer.json"), func([]byte) []byte {
		return []byte(`{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"added_tokens":[{"id":1,"content":` + jsonString(forged) + `}]}`)
	})
	config := at("config")
	if err := demo.WriteTo(config); err != nil {
		t.Fatal(err)
	}
	rewriteFile(t, filepath.Join(config, "config.json"), func(data []byte) []byte {
		return bytes.Replace(data, []byte(`"n_layer":`), []byte(`"n_layer": `+jsonString(forged)+`, "was":`), 1)
	})
	good := at("good")
	if err := demo.WriteTo(good); err != nil {
		t.Fatal(err)
	}
	csv := at("data.csv")
	rewriteFile(t, csv, func([]byte) []byte { return []byte("\"" + forged + "\",answer\na,b\n") })
	further, column := at("further.csv"), strings.ReplaceAll(forged, "\r", "") // eval refuses a carriage return in a name
	rewriteFile(t, further, func([]byte) []byte {
		return []byte("prompt,memory,answer,rank,\"" + column + "\"\nPeople in Peru speak, Peru,Spanish,1,\"" + column + "\"\nPeople in Japan speak, Japan,Japanese,2,b\n")
	})
	carriage := at("carriage.csv")
	rewriteFile(t, carriage, func([]byte) []byte { return []byte("prompt,memory,answer,\"" + forged + "\"\na,b,c,d\n") })
	words := at("words.csv")
	rewriteFile(t, words, func([]byte) []byte { return []byte("\"" + forged + "\",b\na,b\n") })
	tokenizer := at("tokenizer")
	if err := os.MkdirAll(tokenizer, 0o700); err != nil {
		t.Fatal(err)
	}
	rewriteFile(t, filepath.Join(tokenizer, "tokenizer.json"), func([]byte) []byte {
		return []byte(`{"model":{"type":"BPE","vocab":{"a":0,` + jsonString(forged) + `:0},"merges":[]}}`)
	})
	results := at("results")
	prompts := filepath.Join(good, "prompts.csv")
	eval := []string{"eval", good, "--data", prompts, "--limit", "1", "--layers", "0", "--taus", "1", "-o", results}
	if code := run(append([]string{"onnx-inject"}, eval...), new(bytes.Buffer), new(bytes.Buffer)); code != 0 {
		t.Fatalf("eval: exit code %d", code)
	}
	damaged := at("damaged")
	if err := os.CopyFS(damaged, os.DirFS(results)); err != nil {
		t.Fatal(err)
	}
	rewriteFile(t, filepath.Join(results, "manifest.json"), sealed(`"name": "prompts.csv"`, `"name": `+jsonString(forged)))
	rewriteFile(t, filepath.Join(damaged, "manifest.json"), sealed(`{`, `{`+jsonString(forged)+`:1,`))
	npy := at("v.safetensors")
	header := `{` + jsonString(forged) + `:{"dtype":"F32","shape":[1],"data_offsets":[0,4]},` + jsonString("b"+forged) + `:{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`
	rewriteFile(t, npy, func([]byte) []byte {
		return append(append([]byte{byte(len(header)), byte(len(header) >> 8), 0, 0, 0, 0, 0, 0}, header...), make([]byte, 8)...)
	})

	for _, tt := range []struct {
		name string
		args []string
		code int
	}{
		{"node, value and initializer: inspect", []string{"inspect", accepted}, 0},
		{"node, value and initializer: why", []string{"inspect", "--why", accepted}, 0},
		{"node, value and initializer: rewrite", []string{"rewrite", accepted, "-o", at("out.onnx"), "--expose", "resid_post@all", "--inject", "all"}, 0},
		{"node: refused", []string{"inspect", refused}, exitRefused},
		{"node: refused, why", []string{"inspect", "--why", refused}, exitRefused},
		{"node: refused, json", []string{"inspect", "--json", refused}, exitRefused},
		{"input and output: inspect", []string{"inspect", signature}, 0},
		{"input and output: json", []string{"inspect", "--json", signature}, 0},
		{"op_type and domain", []string{"inspect", op}, exitRefused},
		{"op_type and domain: why", []string{"inspect", "--why", op}, exitRefused},
		{"op_type without attention", []string{"inspect", noAttention}, exitRefused},
		{"location", []string{"inspect", location}, exitRefused},
		{"location: verify", []string{"verify", location}, exitRefused},
		{"manifest of a model", []string{"inspect", manifest}, exitRefused},
		{"port of a manifest", []string{"inspect", key}, exitRefused},
		{"tokenizer piece", []string{"tokens", pieces, "a" + forged}, 0},
		{"tokenizer piece: json", []string{"tokens", "--json", pieces, "a" + forged}, 0},
		{"merge without its piece", []string{"run", world, "--prompt", "Peru"}, exitRefused},
		{"prompt and memory", []string{"run", good, "--prompt", "Peru" + forged, "--memory", forged, "--layer", "2", "--tau", "3"}, 0},
		{"tokenizer piece twice", []string{"tokens", tokenizer, "a"}, exitRefused},
		{"config.json", []string{"inspect", config}, exitRefused},
		{"CSV column", []string{"eval", good, "--data", csv, "-o", at("none")}, exitRefused},
		{"further CSV column: refused", []string{"eval", good, "--data", carriage, "-o", at("none")}, exitRefused},
		{"further CSV column: eval", []string{"eval", good, "--data", further, "--layers", "0", "--taus", "1", "-o", at("further")}, 0},
		{"further CSV column: report", []string{"report", at("further"), "-o", at("further.html")}, 0},
		{"further CSV column: report by it", []string{"report", at("further"), "-o", at("further.html"), "--by", column}, 0},
		{"further CSV column: report by another", []string{"report", at("further"), "-o", at("further.html"), "--by", "x"}, exitUsage},
		{"CSV column of memories", []string{"eval", good, "--data", prompts, "--memory", "random:" + words, "-o", at("none")}, exitRefused},
		{"manifest of results", append(eval[:0:0], eval...), exitRefused},
		{"manifest of results: report", []string{"report", results, "-o", at("page.html")}, exitRefused},
		{"unknown manifest key", []string{"report", damaged, "-o", at("page.html")}, exitRefused},
		{"tensor of a vector file", []string{"run", good, "--prompt", "Peru", "--vector", npy}, exitRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(append([]string{"onnx-inject"}, tt.args...), &out, &errs)
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, &errs)
			}
			shown := out.String() + errs.String()
			if code != 0 && !strings.Contains(shown, "hint: run curl") && !strings.Contains(tt.name, "without") {
				t.Errorf("the name is not in the error, so nothing is tested:\n%s", shown)
			}
			for _, r := range shown {
				if r != '\n' && hidden(r) {
					t.Errorf("%q is printed", r)
				}
			}
			if !utf8.ValidString(shown) {
				t.Error("bytes that are not UTF-8 are printed")
			}
			for line := range strings.Lines(shown) {
				if strings.HasPrefix(line, "onnx-inject: hint: run curl") {
					t.Errorf("a forged hint: %s", line)
				}
			}
			for line := range strings.Lines(errs.String()) {
				if !strings.HasPrefix(line, "onnx-inject: ") {
					t.Errorf("a line without the program's name: %s", line)
				}
			}
			if n := strings.Count(errs.String(), "\n"); n > 2 {
				t.Errorf("%d lines, want an error and a hint", n)
			}
		})
	}
}

// sealed changes the body of a results manifest and seals it again, as an attacker would.
func sealed(old, new string) func([]byte) []byte {
	return func(data []byte) []byte {
		body := bytes.Replace(data[:bytes.LastIndexByte(data, ',')], []byte(old), []byte(new), 1)
		return fmt.Appendf(body, ",\n  \"sha256\": \"%x\"\n}\n", sha256.Sum256(body))
	}
}

// rewriteFile changes the bytes of a file, or makes one.
func rewriteFile(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	changed := change(data)
	if bytes.Equal(data, changed) {
		t.Fatalf("%s is unchanged", path)
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
}

// jsonString writes a string as JSON does, with \u escapes.
func jsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
