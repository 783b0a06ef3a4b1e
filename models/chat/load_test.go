package chat

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

func TestLoad(t *testing.T) {
	const own = `{"chat_template": "{{ bos_token }}config", "bos_token": {"content": "<s>", "lstrip": false}, "eos_token": null, "model_max_length": 8}`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // the text, or the error
	}{
		{"configuration", map[string]string{"tokenizer_config.json": own}, "<s>config"},
		{"a file of its own comes first", map[string]string{"tokenizer_config.json": own, "chat_template.jinja": "file {{ bos_token }}"}, "file <s>"},
		{"the older file", map[string]string{"chat_template.json": `{"chat_template": "old {{ bos_token }}{{ eos_token }}"}`, "special_tokens_map.json": `{"eos_token": "</s>"}`}, "old </s>"},
		{"the configuration's token counts", map[string]string{"tokenizer_config.json": own, "special_tokens_map.json": `{"bos_token": "<x>"}`}, "<s>config"},
		{"named", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}`}, "d"},
		{"named, no default", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "tool_use", "template": "t"}]}`}, `none of the templates is called "default"`},
		{"no text", map[string]string{"tokenizer_config.json": `{"chat_template": 3}`}, "chat_template: want a text"},
		{"null", map[string]string{"tokenizer_config.json": `{"chat_template": null}`}, "the folder has no chat template"},
		{"none", nil, "the folder has no chat template"},
		{"not JSON", map[string]string{"tokenizer_config.json": "x"}, "tokenizer_config.json: invalid character"},
		{"unsupported", map[string]string{"chat_template.jinja": "{% include 'x' %}"}, `the statement "include" is not supported`},
	} {
		fsys := fstest.MapFS{}
		for name, data := range c.files {
			fsys[name] = &fstest.MapFile{Data: []byte(data)}
		}
		x, err := Load(fsys)
		got := ""
		if err == nil {
			got, err = x.Render([]Message{{"user", "hi"}}, true)
		}
		if err != nil {
			got = err.Error()
			if strings.Contains(got, "no chat template") && hint.Of(err) == "" {
				t.Errorf("%s: no hint", c.name)
			}
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// A template that cannot be read is an error, also if another file of the folder has one.
func TestLoadUnreadable(t *testing.T) {
	fsys := fstest.MapFS{
		"tokenizer_config.json": {Data: []byte(`{"chat_template": "x"}`)},
		"chat_template.jinja":   {Data: make([]byte, maxFile+1)},
	}
	if x, err := Load(fsys); err == nil || !strings.Contains(err.Error(), "chat_template.jinja") {
		t.Errorf("got %v, %v, want an error that names the file", x, err)
	}
}
