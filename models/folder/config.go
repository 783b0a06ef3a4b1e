package folder

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/models"
)

// configFiles lists the files that give the sizes of a model, the most reliable first.
var configFiles = []struct {
	name  string
	parse func([]byte) (*models.Config, error)
}{
	{"config.json", parseConfig},
	{genAIConfig, parseGenAI},
}

// maxConfig is the maximum size of a configuration. The largest ones list the names of thousands of classes.
const maxConfig = 16 << 20

// readConfigs reads every configuration of a folder. Values that more than one of them gives must agree. Of two context
// lengths the shorter one applies, because users shorten it to save memory.
func (f *Folder) readConfigs(dirs []string) error {
	for _, file := range configFiles {
		i := slices.IndexFunc(dirs, func(dir string) bool { return exists(filepath.Join(dir, file.name)) })
		if i < 0 {
			continue
		}
		path := filepath.Join(dirs[i], file.name)
		data, err := sidefile.Read(os.DirFS(dirs[i]), file.name, maxConfig)
		if err != nil {
			return err
		}
		c, err := file.parse(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if f.ConfigFile == "" {
			f.Config, f.ConfigFile = c, path
			continue
		}
		if err := merge(f.Config, c); err != nil {
			err = fmt.Errorf("%s and %s disagree: %w", f.ConfigFile, path, err)
			return hint.With(err, "do both belong to this model? remove the one that does not")
		}
	}
	return nil
}

// merge adds the values of another configuration.
func merge(c, other *models.Config) error {
	c.ModelType = cmp.Or(c.ModelType, other.ModelType)
	if c.NCtx == 0 || other.NCtx > 0 && other.NCtx < c.NCtx {
		c.NCtx = other.NCtx
	}
	for _, x := range []struct {
		what  string
		into  *int
		other int
	}{
		{"layers", &c.Layers, other.Layers}, {"heads", &c.Heads, other.Heads}, {"key and value heads", &c.KVHeads, other.KVHeads},
		{"numbers in a head", &c.DHead, other.DHead}, {"numbers in a row of the residual stream", &c.DModel, other.DModel}, {"tokens", &c.Vocab, other.Vocab},
	} {
		if *x.into != 0 && x.other != 0 && *x.into != x.other {
			return fmt.Errorf("%d and %d %s", *x.into, x.other, x.what)
		}
		*x.into = cmp.Or(*x.into, x.other)
	}
	return nil
}

// encoders are values of model_type that do not continue a text, or whose decoders have a norm after each addition, which no
// recognised graph has. withDecoder are those whose decoder can be exported alone; its configuration sets is_decoder.
var (
	encoders = []string{"albert", "bert", "camembert", "clip", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "longformer",
		"modernbert", "mpnet", "nomic_bert", "roberta", "vit", "wav2vec2", "xlm-roberta"}
	withDecoder = []string{"bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5", "whisper"}
)

// parseConfig reads config.json of a decoder. Families use different names for the same value, and a model of texts and
// images has its decoder under text_config. An absent or null value stays zero; other values must be valid. An encoder is
// refused.
func parseConfig(data []byte) (*models.Config, error) {
	keys, err := object(data)
	if err != nil {
		return nil, err
	}
	top, _ := text(keys, "model_type")
	if raw, ok := keys["text_config"]; ok && string(raw) != "null" {
		if keys, err = object(raw); err != nil {
			return nil, fmt.Errorf("text_config: %w", err)
		}
	}
	c := &models.Config{}
	if c.ModelType, err = text(keys, "model_type"); err != nil {
		return nil, err
	}
	c.ModelType = cmp.Or(c.ModelType, top)
	if slices.Contains(encoders, c.ModelType) || slices.Contains(withDecoder, c.ModelType) && !truth(keys, "is_decoder") {
		return nil, hint.With(fmt.Errorf("model_type: want a decoder, which continues a text, got %q", c.ModelType),
			"is this the folder of the model that you mean?")
	}
	err = numbers(keys, []number{
		{&c.Layers, []string{"n_layer", "num_layers", "num_hidden_layers", "n_layers"}},
		{&c.Heads, []string{"n_head", "num_heads", "num_attention_heads", "n_heads"}},
		{&c.KVHeads, []string{"num_key_value_heads", "num_kv_heads", "n_head_kv"}},
		{&c.DHead, []string{"head_dim"}},
		{&c.DModel, []string{"n_embd", "hidden_size", "d_model"}},
		{&c.NCtx, []string{"n_positions", "n_ctx", "max_position_embeddings", "max_seq_len"}},
		{&c.Vocab, []string{"vocab_size"}},
	})
	if err != nil {
		return nil, err
	}
	switch multi := truth(keys, "multi_query"); {
	case multi && !truth(keys, "new_decoder_architecture"): // Falcon also writes another number, which it does not use
		c.KVHeads = 1
	case c.KVHeads > c.Heads && c.Heads > 0:
		return nil, fmt.Errorf("want at most %d key and value heads, as many as heads, got %d", c.Heads, c.KVHeads)
	}
	return c, nil
}

func object(data []byte) (map[string]json.RawMessage, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, fmt.Errorf("want a JSON object: %w", err)
	}
	return keys, nil
}

func text(keys map[string]json.RawMessage, key string) (string, error) {
	var s string
	if raw, ok := keys[key]; ok && json.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("%s: want a string, got %s", key, raw)
	}
	return s, nil
}

func truth(keys map[string]json.RawMessage, key string) bool { return string(keys[key]) == "true" }

// number is a size and the keys that may hold it. The first key that exists counts.
type number struct {
	into *int
	keys []string
}

func numbers(keys map[string]json.RawMessage, fields []number) error {
	for _, field := range fields {
		for _, key := range field.keys {
			raw, ok := keys[key]
			if !ok || string(raw) == "null" || *field.into != 0 {
				continue
			}
			if err := json.Unmarshal(raw, field.into); err != nil || *field.into <= 0 {
				return fmt.Errorf("%s: want a whole number above 0, got %s", key, raw)
			}
		}
	}
	return nil
}

// genAIConfig is the file that the onnxruntime-genai model builder writes into the model's folder.
const genAIConfig = "genai_config.json"

// parseGenAI reads the sizes in genai_config.json.
func parseGenAI(data []byte) (*models.Config, error) {
	model, decoder, err := genAIParts(data)
	if err != nil {
		return nil, err
	}
	c := &models.Config{}
	if err := numbers(model, []number{{&c.NCtx, []string{"context_length"}}, {&c.Vocab, []string{"vocab_size"}}}); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	err = numbers(decoder, []number{
		{&c.Layers, []string{"num_hidden_layers"}}, {&c.Heads, []string{"num_attention_heads"}}, {&c.KVHeads, []string{"num_key_value_heads"}},
		{&c.DHead, []string{"head_size"}}, {&c.DModel, []string{"hidden_size"}},
	})
	if err != nil {
		return nil, fmt.Errorf("model.decoder: %w", err)
	}
	return c, nil
}

// genAIParts returns the objects model and model.decoder.
func genAIParts(data []byte) (model, decoder map[string]json.RawMessage, err error) {
	keys, err := object(data)
	if err != nil {
		return nil, nil, err
	}
	if model, err = object(keys["model"]); err != nil {
		return nil, nil, fmt.Errorf("model: %w", err)
	}
	if decoder, err = object(model["decoder"]); err != nil {
		return nil, nil, fmt.Errorf("model.decoder: %w", err)
	}
	return model, decoder, nil
}

// genAIModel returns the name of the ONNX file that genai_config.json of a folder gives, or "" if there is no such file or
// it names none.
func genAIModel(dir string) (string, error) {
	if !exists(filepath.Join(dir, genAIConfig)) {
		return "", nil
	}
	data, err := sidefile.Read(os.DirFS(dir), genAIConfig, maxConfig)
	if err != nil {
		return "", err
	}
	name := ""
	_, decoder, err := genAIParts(data)
	if err == nil {
		name, err = text(decoder, "filename")
	}
	if err == nil && name != "" && (!filepath.IsLocal(filepath.FromSlash(name)) || filepath.Ext(name) != ".onnx") {
		err = errors.New("model.decoder.filename: want the name of an .onnx file in the folder, got " + fmt.Sprintf("%q", name))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(dir, genAIConfig), err)
	}
	return name, nil
}
