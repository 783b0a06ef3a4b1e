package graph

import (
	"fmt"
	"iter"
	"slices"
)

// Model is an ONNX file: a main graph, opsets and metadata.
type Model struct {
	Graph *Graph // the main graph; never nil

	content
	path    string // the file it was read from, "" for a model built in memory
	file    *DataFile
	files   *openFiles // nil for a model built in memory
	closed  bool
	records []record // fields of ModelProto in file order
	ir      int64
	inlined bool // model functions were inlined; their definitions are dropped on save
	warn    []string
	nodes   int // number of nodes made so far: the ID of the next one
	values  int // the same for values

	commit int      // number of the latest commit
	tries  int      // nesting depth of Try
	past   []func() // within Try: functions that undo the changes, in the order of changes
}

// content holds the parts of a model that an edit may change, besides its graphs.
type content struct {
	holes  []hole
	opsets map[string]int64
	newOps []string // domains of added opsets that the file does not import
	meta   []metaEntry
	whole  bool // nothing was edited or inlined since loading: every hole still exists
}

type metaEntry struct{ key, value string }

// Path returns the file the model was read from, "" for a model built in memory.
func (m *Model) Path() string { return m.path }

// IRVersion returns the file's ir_version.
func (m *Model) IRVersion() int64 { return m.ir }

// Opset returns the imported version of an operator domain ("" is ONNX's own), or 0 when the file does not import it.
func (m *Model) Opset(domain string) int64 {
	if domain == "ai.onnx" {
		domain = ""
	}
	return m.opsets[domain]
}

// Warnings returns what is unusual about the file but no reason to refuse it, one line each.
func (m *Model) Warnings() []string {
	out := slices.Clone(m.warn)
	for _, f := range m.Sources() {
		if f.declared != "" && !f.checked.Load() {
			out = append(out, fmt.Sprintf("the checksum of %s was not checked, because the file is large: onnx-inject verify --full checks it", f.Path))
		}
	}
	return out
}

// NodeIDs returns a number above the ID of every node.
func (m *Model) NodeIDs() int { return m.nodes }

// ValueIDs returns a number above the ID of every value.
func (m *Model) ValueIDs() int { return m.values }

func (m *Model) nodeID() int {
	m.nodes++
	return m.nodes - 1
}

func (m *Model) valueID() int {
	m.values++
	return m.values - 1
}

// Meta returns the value of a metadata_props key and whether the key exists.
func (m *Model) Meta(key string) (string, bool) {
	for _, e := range m.meta {
		if e.key == key {
			return e.value, true
		}
	}
	return "", false
}

// Graphs yields the main graph and every nested branch, outer graphs before inner ones.
func (m *Model) Graphs() iter.Seq[*Graph] {
	return func(yield func(*Graph) bool) { m.Graph.walk(yield) }
}

func (g *Graph) walk(yield func(*Graph) bool) bool {
	if !yield(g) {
		return false
	}
	for _, n := range g.nodes {
		for _, b := range n.Branches() {
			if !b.walk(yield) {
				return false
			}
		}
	}
	return true
}
