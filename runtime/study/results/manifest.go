package results

import (
	"cmp"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// Manifest describes an evaluation. Two runs whose manifests are equal in everything except the shard are parts of one
// evaluation. A run resumes only when its manifest equals the one in the folder. A manifest holds no time and no path, so
// the same evaluation writes the same bytes on any machine.
type Manifest struct {
	Version    int          `json:"version"` // of this file: 1
	Tool       string       `json:"tool"`    // name and version of the program
	Model      Model        `json:"model"`
	Data       File         `json:"data"`
	Prompts    int          `json:"prompts"`        // evaluated rows of the data, over all shards
	Site       string       `json:"site,omitempty"` // that gets the memories; "" is attn_out
	Layers     []int        `json:"layers"`
	Taus       []float64    `json:"taus"`
	Memories   []Source     `json:"memories"`
	Encoding   string       `json:"encoding"`   // unembed, embed, layer
	Convention string       `json:"convention"` // tl-folded, raw
	Positions  string       `json:"positions"`  // all, last, A-B
	Texts      memory.Texts `json:"texts"`
	Top        int          `json:"top"`
	First      int          `json:"first,omitempty"` // number of memories used from a file; 0: all
	Shard      Shard        `json:"shard"`
	Plan       Plan         `json:"plan"`
	Host       Host         `json:"host"`
}

// Model identifies a model by its bytes.
type Model struct {
	Name      string `json:"name"`   // of the folder, or of the file when it has no model folder
	SHA256    string `json:"sha256"` // of the graph file and of the files of its weights, in the order of their names
	Tokenizer string `json:"tokenizer_sha256"`
	Family    string `json:"family"`
	Variant   string `json:"variant"`
	Layers    int    `json:"layers"`
	Heads     int    `json:"heads"`
	DModel    int    `json:"d_model"`
	Vocab     int    `json:"vocab"`
}

// File identifies a file by its bytes.
type File struct {
	Name   string `json:"name"` // without its folder
	SHA256 string `json:"sha256"`
}

// Source is one source of memories.
type Source struct {
	Name string `json:"name"` // as requested, without folders: "curated", "random:nouns.txt", "column:hint"
	File *File  `json:"file,omitempty"`
}

// Shard is one of several parts: every prompt whose index leaves the remainder Index when divided by Of.
type Shard struct {
	Index int `json:"index"`
	Of    int `json:"of"` // 1: the whole evaluation
}

// Plan is how the cells were computed, and the reason when this is not the requested plan.
type Plan struct {
	Used   string `json:"used"` // points, rows, fanout
	Reason string `json:"reason,omitempty"`
}

// Host is the host that ran the model.
type Host struct {
	Name    string `json:"name"`    // ort
	Version string `json:"version"` // of its library
	Device  string `json:"device"`  // cpu, cuda:0
}

// ManifestVersion is the version of manifests that this package writes and reads.
const ManifestVersion = 1

// At returns the site that gets the memories.
func (m *Manifest) At() string { return cmp.Or(m.Site, string(models.DefaultSite)) }

// Diff lists the fields in which want differs from m, on one line, or returns "" when there are none.
func (m *Manifest) Diff(want *Manifest) string { return outdir.Diff(*m, *want) }
