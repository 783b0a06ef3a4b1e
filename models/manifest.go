package models

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
)

// ManifestKey is the metadata_props entry that holds the manifest of a patched model.
const ManifestKey = "onnx-inject"

// ManifestVersion is the version this code writes and the newest it reads.
const ManifestVersion = 1

// Manifest says what was added to a model and what it was made from. It is JSON in the file itself, so that any host in any
// language can read it. Fields may be added; none changes its meaning without a new version.
type Manifest struct {
	Version int            `json:"version"`
	Source  ManifestSource `json:"source"`
	Weights graph.Weights  `json:"weights"`
	Family  string         `json:"family"`
	Variant string         `json:"variant"`
	Layers  int            `json:"layers"`
	Heads   int            `json:"heads"`
	DHead   int            `json:"d_head"`
	DModel  int            `json:"d_model"`
	Vocab   int            `json:"vocab"`
	Ports   []ManifestPort `json:"ports"`
	Baked   []Baked        `json:"baked,omitempty"`
}

// ManifestSource names the file that was patched.
type ManifestSource struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
}

// ManifestPort is one input or output that was added.
type ManifestPort struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	Layer int      `json:"layer"`
	IO    string   `json:"io"` // "in" or "out"
	DType string   `json:"dtype"`
	Shape []string `json:"shape"` // sizes, or words such as "batch" and "pos"; "1|batch" may be either
}

// Baked is a memory that is part of the graph.
type Baked struct {
	Layer      int     `json:"layer"`
	Tau        float64 `json:"tau"`
	Text       string  `json:"text"`
	Encoding   string  `json:"encoding"`
	Convention string  `json:"convention"`
}

// portNames maps kinds to port names; %d is the layer. Names and shapes are those of TransformerLens' activation cache.
var portNames = map[string]string{
	"z":          "blocks.%d.attn.hook_z",
	"result":     "blocks.%d.attn.hook_result",
	"pattern":    "blocks.%d.attn.hook_pattern",
	"attn_out":   "blocks.%d.hook_attn_out",
	"resid_pre":  "blocks.%d.hook_resid_pre",
	"resid_mid":  "blocks.%d.hook_resid_mid",
	"resid_post": "blocks.%d.hook_resid_post",
	"mlp_out":    "blocks.%d.hook_mlp_out",
	"memory":     "blocks.%d.attn.memory",
	"tau":        "blocks.%d.attn.tau",
}

// PortName returns the name of a port, such as "blocks.7.attn.hook_z". It panics on an unknown kind.
func PortName(kind string, layer int) string {
	format, ok := portNames[kind]
	if !ok {
		panic("models: no port of kind " + kind)
	}
	return fmt.Sprintf(format, layer)
}

// Add notes a port. All ports are float32.
func (m *Manifest) Add(kind string, layer int, in bool, shape []string) {
	io := "out"
	if in {
		io = "in"
	}
	m.Ports = append(m.Ports, ManifestPort{PortName(kind, layer), kind, layer, io, graph.Float32.String(), shape})
}

// LayersOf returns the layers that have a port of the kind, in the order of the manifest.
func (m *Manifest) LayersOf(kind string) []int {
	var out []int
	for _, p := range m.Ports {
		if p.Kind == kind {
			out = append(out, p.Layer)
		}
	}
	return out
}

// Encode returns the JSON text; the same manifest gives the same text.
func (m *Manifest) Encode() string {
	if m.Ports == nil {
		m.Ports = []ManifestPort{}
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic("models: " + err.Error()) // plain fields
	}
	return string(bytes.TrimSpace(buf.Bytes()))
}

// ReadManifest returns the manifest of a patched model, nil when the model has none.
func ReadManifest(m *graph.Model) (*Manifest, error) {
	text, ok := m.Meta(ManifestKey)
	if !ok {
		return nil, nil
	}
	var man Manifest
	if err := json.Unmarshal([]byte(text), &man); err != nil {
		return nil, fmt.Errorf("%s: the manifest is broken: %w", m.Path(), err)
	}
	if man.Version != ManifestVersion {
		return nil, graph.Hint(fmt.Errorf("%s: manifest of version %d, want %d", m.Path(), man.Version, ManifestVersion), "patch the original again with this onnx-inject, or use a newer one")
	}
	return &man, nil
}
