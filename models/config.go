package models

// Config is what config.json and genai_config.json of a model folder say. Zero fields are unknown.
type Config struct {
	ModelType string // "gpt2", "llama"
	Layers    int
	Heads     int // query heads
	KVHeads   int // key and value heads
	DHead     int
	DModel    int
	NCtx      int
	Vocab     int
}
