package results

import (
	"cmp"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// Manifest describes an evaluation. Two runs whose manifests are equal in everything except the shard are parts of one
// evaluation. A run resumes only when its manifest equals the one in the folder. A manifest holds no time and no path, so
// the same evaluation writes the same bytes on any machine.
type Manifest struct {
	Version int    `json:"version"` // of this file: 1
	Tool    string `json:"tool"`    // name and version of the program
	Model   Model  `json:"model"`
	Data    File   `json:"data"`
	Prompts int    `json:"prompts"` // evaluated rows of the data, over all shards

	// What changes in a cell. Fields with their default are absent, as in folders of earlier versions.
	Op                intervention.Op      `json:"op,omitempty"`                 // "" is add
	Sites             []models.PortKind    `json:"sites,omitempty"`              // nil is attn_out
	Heads             []int                `json:"heads,omitempty"`              // each changed by itself; nil: a layer changes as a whole
	TauUnit           string               `json:"tau_unit,omitempty"`           // norm; "" is raw
	Interventions     []intervention.Entry `json:"interventions,omitempty"`      // that act in every cell, too
	InterventionFiles []File               `json:"intervention_files,omitempty"` // of their vectors, in their order
	PromptColumn      string               `json:"prompt_column,omitempty"`      // of the data; "" is obscure_sentence or prompt
	Told              bool                 `json:"told,omitempty"`               // prompts.csv has the scores of prompts with the memory as text in front
	Pairs             int                  `json:"pairs,omitempty"`              // most memories of a prompt, each with its phrase; 0 is 1
	Columns           []string             `json:"columns,omitempty"`            // further columns of the data, by their names in prompts.csv; see [NameColumns]

	SideEffects SideTexts `json:"side_effects,omitzero"` // texts in side_effects.csv; zero for none

	Layers     []int        `json:"layers"`
	Taus       []float64    `json:"taus"`
	Memories   []Source     `json:"memories"`
	Encoding   string       `json:"encoding"`   // unembed, embed, layer
	Convention string       `json:"convention"` // tl-folded, raw
	Positions  string       `json:"positions"`  // all, last, A-B, text:"…", last:"…", phrase
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

// EachSite lists the sites that change, one in each cell.
func (m *Manifest) EachSite() []models.PortKind {
	if m.Sites == nil {
		return []models.PortKind{models.DefaultSite}
	}
	return m.Sites
}

// EachHead lists the heads that change, one in each cell: [AllHeads] alone when a layer changes as a whole.
func (m *Manifest) EachHead() []Head {
	if m.Heads == nil {
		return []Head{AllHeads}
	}
	var out []Head
	for _, h := range m.Heads {
		out = append(out, OneHead(h))
	}
	return out
}

// Operation is what happens to the value of a site.
func (m *Manifest) Operation() intervention.Op { return cmp.Or(m.Op, intervention.Add) }

// Harm reports whether the cells show what is lost: the best cell is then the one that lowers the answers most.
func (m *Manifest) Harm() bool { return m.Operation() == intervention.Ablate }

// Acts reports whether the change of a cell can have an effect.
func (m *Manifest) Acts(c *Cell) bool {
	if len(m.Interventions) > 0 {
		return true
	}
	switch m.Operation() {
	case intervention.Add:
		return c.Memory != "" && c.Tau != 0
	case intervention.Scale:
		return c.Tau != 1
	}
	return true
}

// hasPlaces reports whether cells.csv names the site and the head of each cell.
func (m *Manifest) hasPlaces() bool { return m.Sites != nil || m.Heads != nil }

// promptColumns are the columns of prompts.csv, without that of the checksum.
func (m *Manifest) promptColumns() []string {
	columns := promptColumns
	if m.Told {
		columns = slices.Concat(columns, toldColumns)
	}
	for i := range m.more() {
		columns = slices.Concat(columns, pairColumns(i))
	}
	for _, name := range m.Columns {
		columns = append(slices.Clip(columns), quoted(name))
	}
	return columns
}

// more is the number of columns of pairs in prompts.csv besides the first.
func (m *Manifest) more() int { return max(0, m.Pairs-1) }

// cellColumns are the columns of cells.csv.
func (m *Manifest) cellColumns() []string {
	if m.hasPlaces() {
		return slices.Concat(cellColumns, placeColumns)
	}
	return cellColumns
}

// Diff lists the fields in which want differs from m, on one line, or returns "" when there are none.
func (m *Manifest) Diff(want *Manifest) string { return outdir.Diff(*m, *want) }
