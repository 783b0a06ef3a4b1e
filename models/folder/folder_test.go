package folder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
)

const gpt2Config = `{"model_type":"gpt2","n_layer":12,"n_head":12,"n_embd":768,"n_positions":1024,"n_ctx":1024,"vocab_size":50257}`

// tree makes files in a new folder. "a -> b" is a symbolic link; a name that ends in a slash is a folder; config.json has a content.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name, to, link := strings.Cut(f, " -> ")
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(to, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case strings.HasSuffix(name, "config.json"):
			err = os.WriteFile(path, []byte(gpt2Config), 0o644)
		default:
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenFolder(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []string
		open  string
		want  string // model | others | config | tokenizer, relative to the folder; or the error
		hint  string
	}{
		{"plain", []string{"model.onnx", "config.json", "vocab.json", "merges.txt"}, "", "model.onnx | | config.json | .", ""},
		{"file", []string{"model.onnx", "other.onnx", "config.json", "tokenizer.json"}, "other.onnx", "other.onnx | | config.json | .", ""},
		{"bare file", []string{"x.onnx"}, "x.onnx", "x.onnx | | | ", ""},
		{"under onnx", []string{"onnx/model.onnx", "config.json", "tokenizer.json"}, "", "onnx/model.onnx | | config.json | .", ""},
		{"the folder onnx itself", []string{"onnx/model.onnx", "config.json", "tokenizer.json"}, "onnx", "onnx/model.onnx | | config.json | .", ""},
		{"file under onnx", []string{"onnx/decoder_model.onnx", "config.json", "tokenizer.json"}, "onnx/decoder_model.onnx", "onnx/decoder_model.onnx | | config.json | .", ""},
		{"own config first", []string{"onnx/model.onnx", "onnx/config.json", "config.json", "tokenizer.json"}, "", "onnx/model.onnx | | onnx/config.json | .", ""},
		{"only onnx has a parent", []string{"sub/model.onnx", "config.json"}, "sub", "sub/model.onnx | | | ", ""},
		{"merged before plain", []string{"decoder_model.onnx", "decoder_model_merged.onnx", "decoder_with_past_model.onnx"}, "",
			"decoder_model_merged.onnx | decoder_model.onnx decoder_with_past_model.onnx | | ", ""},
		{"model first", []string{"decoder_model_merged.onnx", "model.onnx"}, "", "model.onnx | decoder_model_merged.onnx | | ", ""},
		{"here before onnx", []string{"onnx/model.onnx", "decoder_model.onnx"}, "", "decoder_model.onnx | onnx/model.onnx | | ", ""},
		{"full precision before quantised", []string{"onnx/model_quantized.onnx", "onnx/model_fp16.onnx", "onnx/model.onnx"}, "",
			"onnx/model.onnx | onnx/model_fp16.onnx onnx/model_quantized.onnx | | ", ""},
		{"the only file", []string{"gpt2-10.onnx", "config.json"}, "", "gpt2-10.onnx | | config.json | ", ""},
		{"several strangers", []string{"a.onnx", "onnx/b.onnx"}, "", "2 ONNX files, none of them called model.onnx, decoder_model_merged.onnx, decoder_model.onnx: a.onnx, onnx/b.onnx", "name one of them"},
		{"nothing", []string{"config.json"}, "", "no ONNX file: looked for model.onnx, decoder_model_merged.onnx, decoder_model.onnx, here and under onnx", "name the file"},
		{"a checkpoint", []string{"config.json", "vocab.json", "model.safetensors"}, "", "no ONNX file", "optimum-cli export onnx --model "},
		{"a folder called .onnx", []string{"model.onnx/", "x.onnx"}, "", "x.onnx | | | ", ""},
		{"not there", nil, "gpt2", "no such file or folder", "want an ONNX file"},
		{"external data is no model", []string{"model.onnx", "model.onnx_data", "model.onnx.data"}, "", "model.onnx | | | ", ""},
		{"hub cache", []string{"blobs/1", "blobs/2", "s/1/model.onnx -> ../../blobs/1", "s/1/tokenizer.json -> ../../blobs/2"}, "s/1", "s/1/model.onnx | | | s/1", ""},
		{"hub cache, file", []string{"blobs/1", "blobs/2", "s/1/onnx/model.onnx -> ../../../blobs/1", "s/1/vocab.json -> ../../blobs/2"}, "s/1/onnx/model.onnx", "s/1/onnx/model.onnx | | | s/1", ""},
		{"hub cache, half loaded", []string{"blobs/2", "s/1/model.onnx -> ../../blobs/1"}, "s/1", "links to ../../blobs/1, which is missing", "not complete"},
		{"hub cache, top", []string{"blobs/1", "snapshots/1/model.onnx -> ../../blobs/1"}, "", "no ONNX file", "below snapshots"},
		{"linked folder", []string{"real/onnx/model.onnx", "real/config.json", "link -> real"}, "link", "link/onnx/model.onnx | | link/config.json | ", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := tree(t, test.files...)
			f, err := Open(filepath.Join(dir, test.open))
			if err != nil {
				if !strings.Contains(err.Error(), test.want) || !strings.Contains(hint.Of(err), test.hint) || !strings.HasPrefix(err.Error(), "open model ") {
					t.Fatalf("got %v (hint %q), want %s (hint %q)", err, hint.Of(err), test.want, test.hint)
				}
				return
			}
			rel := func(path string) string {
				if path == "" {
					return ""
				}
				r, err := filepath.Rel(dir, path)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			var others []string
			for _, o := range f.Others {
				others = append(others, rel(o))
			}
			got := fmt.Sprintf("%s | %s | %s | %s", rel(f.Model), strings.Join(others, " "), rel(f.ConfigFile), rel(f.TokenizerDir))
			want := strings.ReplaceAll(test.want, "| |", "|  |")
			want = strings.ReplaceAll(want, "| |", "|  |")
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if f.Config == nil || (f.ConfigFile != "") != (f.Config.Layers == 12) {
				t.Errorf("config %+v from %q", f.Config, f.ConfigFile)
			}
		})
	}
}

// The folder can be the one that the program stands in.
func TestOpenFolderHere(t *testing.T) {
	dir := tree(t, "onnx/model.onnx", "config.json")
	t.Chdir(filepath.Join(dir, "onnx"))
	for _, path := range []string{".", "model.onnx"} {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Model != "model.onnx" || f.ConfigFile != "../config.json" {
			t.Errorf("%s: %q, %q", path, f.Model, f.ConfigFile)
		}
	}
}

func TestParseConfig(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       models.Config
		err        string
	}{
		{"gpt2", gpt2Config, models.Config{ModelType: "gpt2", Layers: 12, Heads: 12, DModel: 768, NCtx: 1024, Vocab: 50257}, ""},
		{"gpt-neo", `{"model_type":"gpt_neo","num_layers":2,"num_heads":4,"hidden_size":32,"max_position_embeddings":48,"vocab_size":131}`, models.Config{ModelType: "gpt_neo", Layers: 2, Heads: 4, DModel: 32, NCtx: 48, Vocab: 131}, ""},
		{"llama words", `{"num_hidden_layers":2,"num_attention_heads":4}`, models.Config{Layers: 2, Heads: 4}, ""},
		{"first name wins", `{"n_ctx":512,"n_positions":1024}`, models.Config{NCtx: 1024}, ""},
		{"null", `{"model_type":null,"n_head":null,"num_heads":3}`, models.Config{Heads: 3}, ""},
		{"empty", `{}`, models.Config{}, ""},
		{"others are passed over", `{"n_inner":null,"x":{"n_head":"?"}}`, models.Config{}, ""},
		{"broken", `{"n_head":`, models.Config{}, "want a JSON object: unexpected end"},
		{"not an object", `[1]`, models.Config{}, "want a JSON object"},
		{"nothing", ``, models.Config{}, "want a JSON object"},
		{"two documents", `{}{}`, models.Config{}, "want a JSON object"},
		{"text for a number", `{"n_head":"12"}`, models.Config{}, `n_head: want a whole number above 0, got "12"`},
		{"fraction", `{"hidden_size":76.5}`, models.Config{}, "hidden_size: want a whole number above 0, got 76.5"},
		{"zero", `{"vocab_size":0}`, models.Config{}, "vocab_size: want a whole number above 0, got 0"},
		{"negative", `{"n_layer":-1}`, models.Config{}, "n_layer: want"},
		{"number for a text", `{"model_type":2}`, models.Config{}, "model_type: want a text, got 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseConfig([]byte(test.text))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, *got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOpenFolderBrokenConfig(t *testing.T) {
	dir := tree(t, "model.onnx")
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"n_head":"12"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), "config.json: n_head") {
		t.Errorf("got %v", err)
	}
}

// What could be a name of the hub, and is no path, gets the advice to fetch it.
func TestOpenFolderOfHub(t *testing.T) {
	t.Chdir(tree(t, "folder/model.onnx"))
	for path, like := range map[string]bool{
		"openai-community/gpt2": true, "gpt2": false, "folder/gpt2": false, "./gpt2/x": false, "../gpt2": false, "~/gpt2": false,
		"a/b/c": false, "/a": false, "a/": false, "org/model.onnx": false,
	} {
		_, err := Open(path)
		if err == nil || strings.Contains(hint.Of(err), "onnx-inject pull "+path) != like {
			t.Errorf("%s: got %v (%s)", path, err, hint.Of(err))
		}
	}
}

// The demo model is a model folder like any other.
func TestOpenDemoFolder(t *testing.T) {
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if f.Config.ModelType != "gpt2" || f.Config.Vocab != tok.Size() {
		t.Errorf("config %+v, tokenizer of %d", f.Config, tok.Size())
	}
	f, err = Open("../testdata/fp16.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Tokenizer(); err == nil || !strings.Contains(err.Error(), "in ../testdata") || hint.Of(err) == "" {
		t.Errorf("a file without tokenizer: %v", err)
	}
}
