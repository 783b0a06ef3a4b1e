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
	"github.com/onnx-inject/onnx-inject/models/chat"
	"github.com/onnx-inject/onnx-inject/models/demo"
)

const gpt2Config = `{"model_type":"gpt2","n_layer":12,"n_head":12,"n_embd":768,"n_positions":1024,"n_ctx":1024,"vocab_size":50257}`

// genAI is genai_config.json for the same model, in a file named decoder.onnx.
const genAI = `{"model":{"type":"llama","context_length":512,"vocab_size":50257,"bos_token_id":1,"decoder":{"filename":"decoder.onnx","head_size":64,
"hidden_size":768,"num_attention_heads":12,"num_hidden_layers":12,"num_key_value_heads":4,"inputs":{"input_ids":"input_ids"}}},"search":{"max_length":512}}`

// tree makes files in a new folder. "a -> b" is a symbolic link, and a name that ends in a slash is a folder.
// Configurations have content.
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
		case strings.HasSuffix(name, "genai_config.json"):
			err = os.WriteFile(path, []byte(genAI), 0o644)
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
		{"nothing", []string{"config.json"}, "", "no ONNX file: looked for model.onnx, decoder_model_merged.onnx, decoder_model.onnx, in the folder and in its subfolder onnx", "name the file"},
		{"a checkpoint", []string{"config.json", "vocab.json", "model.safetensors"}, "", "no ONNX file", "--task text-generation OUT makes an ONNX model of it; install the Python package accelerate first: without it, the export stores tied weights twice"},
		{"a folder called .onnx", []string{"model.onnx/", "x.onnx"}, "", "x.onnx | | | ", ""},
		{"not there", nil, "gpt2", "no such file or folder", "want an ONNX file"},
		{"external data is not a model", []string{"model.onnx", "model.onnx_data", "model.onnx.data"}, "", "model.onnx | | | ", ""},
		{"hub cache", []string{"blobs/1", "blobs/2", "s/1/model.onnx -> ../../blobs/1", "s/1/tokenizer.json -> ../../blobs/2"}, "s/1", "s/1/model.onnx | | | s/1", ""},
		{"hub cache, file", []string{"blobs/1", "blobs/2", "s/1/onnx/model.onnx -> ../../../blobs/1", "s/1/vocab.json -> ../../blobs/2"}, "s/1/onnx/model.onnx", "s/1/onnx/model.onnx | | | s/1", ""},
		{"hub cache, file further down", []string{"snapshots/1/cpu/int4/model.onnx", "snapshots/1/tokenizer.json", "snapshots/config.json"}, "snapshots/1/cpu/int4/model.onnx",
			"snapshots/1/cpu/int4/model.onnx | | | snapshots/1", ""},
		{"hub cache, partly downloaded", []string{"blobs/2", "s/1/model.onnx -> ../../blobs/1"}, "s/1", "links to ../../blobs/1, which is missing", "not complete"},
		{"hub cache, top", []string{"blobs/1", "snapshots/1/model.onnx -> ../../blobs/1"}, "", "no ONNX file", "below snapshots"},
		{"genai", []string{"decoder.onnx", "decoder.onnx.data", "genai_config.json", "tokenizer.json"}, "", "decoder.onnx | | genai_config.json | .", ""},
		{"genai names one of several", []string{"model.onnx", "decoder.onnx", "genai_config.json"}, "", "decoder.onnx | model.onnx | genai_config.json | ", ""},
		{"genai names a missing file", []string{"model.onnx", "genai_config.json"}, "", "model.onnx | | genai_config.json | ", ""},
		{"genai with config.json", []string{"decoder.onnx", "genai_config.json", "config.json"}, "", "decoder.onnx | | config.json | ", ""},
		{"genai further down", []string{"config.json", "tokenizer.json", "cpu_and_mobile/cpu-int4/decoder.onnx", "cpu_and_mobile/cpu-int4/genai_config.json"}, "",
			"cpu_and_mobile/cpu-int4/decoder.onnx | | config.json | .", ""},
		{"several further down", []string{"cpu/decoder.onnx", "cuda/decoder.onnx", "a/b/c/d/x.onnx"}, "", "2 ONNX files, none of them called model.onnx, decoder_model_merged.onnx, decoder_model.onnx: cpu/decoder.onnx, cuda/decoder.onnx", "name one of them"},
		{"a variant by its name", []string{"onnx/model.onnx", "onnx/model_q4f16.onnx", "onnx/model_q4f16.onnx_data", "config.json"}, "onnx/model_q4f16.onnx", "onnx/model_q4f16.onnx | | config.json | ", ""},
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

func TestOpenFolderRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []string
		open  string
		want  string
	}{
		{"below a file", []string{"model.onnx"}, "model.onnx/model.onnx", "not a directory"},
		{"a file called onnx", []string{"onnx"}, "", "not a directory"},
		{"a configuration that is a folder", []string{"model.onnx", "genai_config.json/"}, "", "genai_config.json: want a regular file, got a folder"},
	} {
		dir := tree(t, test.files...)
		if f, err := Open(filepath.Join(dir, test.open)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v, %v, want %s", test.name, f, err, test.want)
		}
	}
}

// The search in subfolders ends: a folder may be the top of a disk.
func TestOpenFolderOfManyFiles(t *testing.T) {
	files := []string{"z/model.onnx"}
	for i := range maxEntries - 4 { // with the top folder, a, z and the model, as many as are looked at
		files = append(files, fmt.Sprintf("a/%05d", i))
	}
	dir := tree(t, files...)
	f, err := Open(dir)
	if err != nil || f.Model != filepath.Join(dir, "z", "model.onnx") {
		t.Fatalf("%d entries: got %+v, %v", maxEntries, f, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "one more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(dir); err == nil || !strings.Contains(err.Error(), "no ONNX file") {
		t.Errorf("%d entries: got %+v, %v, want no ONNX file", maxEntries+1, f, err)
	}
}

func TestChat(t *testing.T) {
	for _, test := range []struct{ name, template, want string }{
		{"a template", "{{ messages[0].content }}!", "hi!"},
		{"not a template", "{% include 'x' %}", `load chat template "`},
		{"no tokenizer", "", "load chat template: no tokenizer files in "},
	} {
		files := []string{"model.onnx"}
		if test.template != "" {
			files = append(files, "vocab.json", "chat_template.jinja")
		}
		dir := tree(t, files...)
		if test.template != "" {
			if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(test.template), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		template, err := f.Chat()
		if err == nil {
			got, err = template.Render([]chat.Message{{Role: "user", Content: "hi"}}, true)
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// The folder can be the working directory.
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
		{"mpt", `{"model_type":"mpt","d_model":64,"n_heads":4,"n_layers":2,"max_seq_len":48,"vocab_size":131}`, models.Config{ModelType: "mpt", Layers: 2, Heads: 4, DModel: 64, NCtx: 48, Vocab: 131}, ""},
		{"fewer key and value heads", `{"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32}`, models.Config{Heads: 4, KVHeads: 2, DHead: 32}, ""},
		{"more key and value heads", `{"num_attention_heads":4,"num_key_value_heads":8}`, models.Config{}, "want at most 4 key and value heads"},
		{"falcon-7b", `{"num_attention_heads":71,"num_kv_heads":71,"multi_query":true,"new_decoder_architecture":false}`, models.Config{Heads: 71, KVHeads: 1}, ""},
		{"falcon-40b", `{"num_attention_heads":128,"num_kv_heads":8,"multi_query":true,"new_decoder_architecture":true}`, models.Config{Heads: 128, KVHeads: 8}, ""},
		{"bigcode", `{"n_head":4,"multi_query":true}`, models.Config{Heads: 4, KVHeads: 1}, ""},
		{"texts and pictures", `{"model_type":"gemma3","hidden_size":9,"text_config":{"model_type":"gemma3_text","hidden_size":64,"num_attention_heads":4,"head_dim":32}}`,
			models.Config{ModelType: "gemma3_text", Heads: 4, DHead: 32, DModel: 64}, ""},
		{"text_config without a type", `{"model_type":"llava","text_config":{"hidden_size":64}}`, models.Config{ModelType: "llava", DModel: 64}, ""},
		{"text_config is not an object", `{"text_config":4}`, models.Config{}, "text_config: want a JSON object"},
		{"an encoder", `{"model_type":"bert"}`, models.Config{}, `model_type: want a decoder, which continues a text, got "bert"`},
		{"an encoder as decoder", `{"model_type":"bert","is_decoder":true}`, models.Config{}, `model_type: want a decoder, which continues a text, got "bert"`},
		{"a decoder of two", `{"model_type":"mbart","is_decoder":true}`, models.Config{ModelType: "mbart"}, ""},
		{"one of two", `{"model_type":"mbart"}`, models.Config{}, `model_type: want a decoder, which continues a text, got "mbart"`},
		{"first name wins", `{"n_ctx":512,"n_positions":1024}`, models.Config{NCtx: 1024}, ""},
		{"null", `{"model_type":null,"n_head":null,"num_heads":3}`, models.Config{Heads: 3}, ""},
		{"empty", `{}`, models.Config{}, ""},
		{"others are ignored", `{"n_inner":null,"x":{"n_head":"?"}}`, models.Config{}, ""},
		{"broken", `{"n_head":`, models.Config{}, "want a JSON object: unexpected end"},
		{"not an object", `[1]`, models.Config{}, "want a JSON object"},
		{"nothing", ``, models.Config{}, "want a JSON object"},
		{"two documents", `{}{}`, models.Config{}, "want a JSON object"},
		{"text for a number", `{"n_head":"12"}`, models.Config{}, `n_head: want a whole number above 0, got "12"`},
		{"fraction", `{"hidden_size":76.5}`, models.Config{}, "hidden_size: want a whole number above 0, got 76.5"},
		{"zero", `{"vocab_size":0}`, models.Config{}, "vocab_size: want a whole number above 0, got 0"},
		{"negative", `{"n_layer":-1}`, models.Config{}, "n_layer: want"},
		{"number for a text", `{"model_type":2}`, models.Config{}, "model_type: want a string, got 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseConfig([]byte(test.text))
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

func TestParseGenAI(t *testing.T) {
	sizes := models.Config{Layers: 12, Heads: 12, KVHeads: 4, DHead: 64, DModel: 768, NCtx: 512, Vocab: 50257}
	for _, test := range []struct {
		name, text string
		want       models.Config
		err        string
	}{
		{"whole", genAI, sizes, ""},
		{"sparse", `{"model":{"decoder":{"filename":"x.onnx"}}}`, models.Config{}, ""},
		{"broken", `{"model":`, models.Config{}, "want a JSON object: unexpected end"},
		{"no model", `{}`, models.Config{}, "model: want a JSON object"},
		{"no decoder", `{"model":{"encoder":{}}}`, models.Config{}, "model.decoder: want a JSON object"},
		{"a text for a number", `{"model":{"decoder":{"head_size":"64"}}}`, models.Config{}, `model.decoder: head_size: want a whole number above 0, got "64"`},
		{"zero", `{"model":{"vocab_size":0,"decoder":{}}}`, models.Config{}, "model: vocab_size: want"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseGenAI([]byte(test.text))
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

// Two configurations are combined, and must not contradict each other.
func TestOpenFolderTwoConfigs(t *testing.T) {
	for _, test := range []struct{ config, want string }{
		{gpt2Config, "{gpt2 12 12 4 64 768 512 50257}"},
		{`{"model_type":"llama","n_positions":256}`, "{llama 12 12 4 64 768 256 50257}"},
		{`{"num_attention_heads":8}`, "8 and 12 heads"},
		{`{"hidden_size":64}`, "64 and 768 numbers in a row of the residual stream"},
	} {
		dir := tree(t, "decoder.onnx", "genai_config.json")
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(test.config), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(dir)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(*f.Config)
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.config, got, test.want)
		}
	}
}

// The name in genai_config.json must be that of an ONNX file in the folder.
func TestOpenFolderGenAIName(t *testing.T) {
	for _, name := range []string{"../model.onnx", "/tmp/model.onnx", "model.bin"} {
		dir := tree(t, "model.onnx")
		text := strings.Replace(genAI, "decoder.onnx", name, 1)
		if err := os.WriteFile(filepath.Join(dir, "genai_config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "want the name of an .onnx file in the folder") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A configuration that is not a regular file must be refused: it may be a pipe without a writer.
func TestOpenFolderSpecialConfig(t *testing.T) {
	dir := tree(t, "model.onnx", "config.json/")
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "config.json: want a regular file, got a folder") {
		t.Errorf("got %v", err)
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

// A path that does not exist and could be a name of the hub must get the advice to download it.
func TestOpenFolderOfHub(t *testing.T) {
	t.Chdir(tree(t, "folder/model.onnx"))
	for path, like := range map[string]bool{
		"openai-community/gpt2": true, "gpt2": true, "SmolLM2-135M": true, "folder/gpt2": false, "model.onnx": false, "my model": false, `a\b`: false, "./gpt2/x": false, "../gpt2": false, "~/gpt2": false,
		"a/b/c": false, "/a": false, "a/": false, "org/model.onnx": false,
	} {
		_, err := Open(path)
		if err == nil || strings.Contains(hint.Of(err), "onnx-inject pull "+path) != like {
			t.Errorf("%s: got %v (%s)", path, err, hint.Of(err))
		}
	}
}

// The demo model must open like any other model folder.
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

// A tokenizer with more tokens than the configuration says belongs to another model. Added tokens may have no row.
func TestA20TokenizerOfAnotherModel(t *testing.T) {
	const tokenizer = `{"model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2},"merges":[]},"added_tokens":[{"id":3,"content":"<pad>"}]}`
	for vocab, want := range map[int]string{2: "want at most the 2 tokens of", 3: "", 4: "", 64: ""} {
		dir := t.TempDir()
		for name, text := range map[string]string{"model.onnx": "", "tokenizer.json": tokenizer, "config.json": fmt.Sprintf(`{"vocab_size":%d}`, vocab)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := f.Tokenizer()
		if want == "" && (err != nil || tok.Ordinary() != 3) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("vocab_size %d: got %v, want %q", vocab, err, want)
		}
	}
}
