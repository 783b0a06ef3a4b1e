package models

// Config holds the values of config.json and genai_config.json of a model folder. A zero field is unknown.
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
