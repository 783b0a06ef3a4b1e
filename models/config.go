package models

// Config is what config.json of a model folder tells. Zero fields are unknown.
type Config struct {
	ModelType string // "gpt2"
	Layers    int
	Heads     int
	DModel    int
	NCtx      int
	Vocab     int
}
