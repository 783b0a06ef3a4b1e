package models

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// ManifestKey is the key in the model's metadata_props that holds the manifest of a patched file.
const ManifestKey = "onnx-inject"

// ManifestVersion is the version that this program writes, and the newest that it reads. Fields may be added within a
// version. Any other change needs a new version.
const ManifestVersion = 1

// Manifest records the changes to a model and its ports, so that a host in any language can use them.
type Manifest struct {
	Version int            `json:"version"`
	Source  ManifestSource `json:"source"`
	Weights string         `json:"weights"`        // "ref", "copy" or "embed": where the file's weights are stored
	Data    []ManifestData `json:"data,omitempty"` // for "ref": the files that hold the weights
	Family  string         `json:"family"`
	Variant string         `json:"variant"` // the exporter's form
	Layers  int            `json:"layers"`
	Heads   int            `json:"heads"`
	DHead   int            `json:"d_head"`
	DModel  int            `json:"d_model"`
	Vocab   int            `json:"vocab"` // 0 for a file that ends in hidden states
	Ports   []ManifestPort `json:"ports"`
	Baked   []Baked        `json:"baked,omitempty"`

	WholeData bool `json:"-"` // on writing: Data holds the checksum of whole files, whatever their size
}

// ManifestSource is the file that was patched.
type ManifestSource struct {
	File   string `json:"file"` // its name, without the folder
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"` // hexadecimal
}

// ManifestPort is an input or output that was added.
type ManifestPort struct {
	Name  string   `json:"name"`
	Kind  PortKind `json:"kind"`
	Site  PortKind `json:"site,omitempty"` // of an input: the site it changes; "" is the default
	Layer int      `json:"layer"`
	IO    string   `json:"io"` // "in" or "out"
	DType string   `json:"dtype"`
	Shape []any    `json:"shape"` // each entry is a whole number or a name: "batch", "pos", "1|pos"
}

// Port returns the entry of the contract for the port. ok is false for a port of a later version of this program.
func (p ManifestPort) Port() (port Port, ok bool) {
	if i := slices.Index(Outputs(), p.Kind); i >= 0 {
		return outputs[i], true
	}
	return inputPort(cmp.Or(p.Site, DefaultSite), p.Kind)
}

// Baked is an intervention stored in the file: in every run, the value x of a site becomes keep * x + tau * memory.
type Baked struct {
	Site       PortKind `json:"site,omitempty"` // "" is the default
	Layer      int      `json:"layer"`
	Heads      []int    `json:"heads,omitempty"` // of a site by head; nil for all
	Keep       *float64 `json:"keep,omitempty"`  // nil for 1
	Tau        float64  `json:"tau"`             // 0 for no memory
	Text       string   `json:"text"`            // "" for a vector that did not come from a text
	Encoding   string   `json:"encoding"`        // an encoding of package memory, or ""
	Convention string   `json:"convention"`      // a convention of package memory, or ""

	// Phrase is the text at whose last token alone the intervention acts, "" for every token. Tokens are the sequences of
	// tokens by which the graph finds it.
	Phrase string    `json:"phrase,omitempty"`
	Tokens [][]int64 `json:"tokens,omitempty"`
}

// At returns the place of the intervention.
func (b Baked) At() BakedAt { return BakedAt{cmp.Or(b.Site, DefaultSite), b.Layer} }

// Bake records a memory that was stored in the file.
func (m *Manifest) Bake(b Baked) {
	b.Site = b.Site.recorded()
	m.Baked = append(m.Baked, b)
}

// NewManifest starts the manifest of a patched file. It sets everything except source, weights, ports and memories.
func NewManifest(l *Layout) *Manifest {
	return &Manifest{Version: ManifestVersion, Family: l.Family, Variant: l.Exporter, Layers: l.Layers, Heads: l.Heads,
		DHead: l.DHead, DModel: l.DModel, Vocab: l.Vocab, Ports: []ManifestPort{}}
}

// Port returns the port of the given name, or nil when the file has none. m may be nil.
func (m *Manifest) Port(name string) *ManifestPort {
	if m == nil {
		return nil
	}
	i := slices.IndexFunc(m.Ports, func(p ManifestPort) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Ports[i]
}

// Encode returns the manifest as JSON on one line. Equal manifests give equal bytes.
func (m *Manifest) Encode() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic(fmt.Sprintf("models: encode manifest: %v", err)) // a tau that is not a number: a bug in this program
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ReadManifest returns the manifest of a patched model, or nil for a model without one. A manifest that cannot be read,
// that contradicts the graph, or that has a newer version is an error, because its ports could be misunderstood.
func ReadManifest(m *graph.Model) (*Manifest, error) {
	text, ok := m.Meta(ManifestKey)
	if !ok {
		return nil, nil
	}
	out, err := parseManifest(text)
	if err == nil {
		err = out.matches(m.Graph)
	}
	if err == nil {
		err = out.unchanged(m)
	}
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", m.Path(), err)
	}
	return out, nil
}

func parseManifest(text string) (*Manifest, error) {
	var v struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	switch {
	case v.Version == nil || *v.Version < 1:
		return nil, errors.New("no version")
	case *v.Version > ManifestVersion:
		return nil, hint.With(fmt.Errorf("version %d, this program reads version %d", *v.Version, ManifestVersion), "use the onnx-inject that wrote the file, or a later one")
	}
	m := &Manifest{}
	if err := json.Unmarshal([]byte(text), m); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, p := range m.Ports {
		port, known := p.Port()
		switch {
		case p.IO != "in" && p.IO != "out":
			return nil, fmt.Errorf("port %q: io %q, want in or out", p.Name, p.IO)
		case p.Layer < 0 || p.Layer >= m.Layers:
			return nil, fmt.Errorf("port %q: layer %d of %d", p.Name, p.Layer, m.Layers)
		case known && (p.Name != port.Name(p.Layer) || p.IO != port.IO):
			return nil, fmt.Errorf("port %q (%s): want %q (%s) for %s of layer %d", p.Name, p.IO, port.Name(p.Layer), port.IO, p.Kind, p.Layer)
		case seen[p.Name]:
			return nil, fmt.Errorf("port %q appears twice", p.Name)
		}
		seen[p.Name] = true
	}
	return m, nil
}

// matches checks that the graph has the ports.
func (m *Manifest) matches(g *graph.Graph) error {
	have := map[string]string{}
	for _, v := range g.Inputs() {
		have[v.Name()] = "in"
	}
	for _, v := range g.Outputs() {
		have[v.Name()] = "out"
	}
	for _, p := range m.Ports {
		if have[p.Name] != p.IO {
			return hint.With(fmt.Errorf("port %q (%s) is not in the graph", p.Name, p.IO), "the file was changed by another program: patch the original again")
		}
	}
	return nil
}

// BakedAt is a place at which interventions can be stored in a file.
type BakedAt struct {
	Site  PortKind // what is changed, such as [PortAttnOut]
	Layer int
}

// Stored counts what is stored in a file at a place.
type Stored struct {
	Gates, Memories int
	Chosen          int // memories that act at some tokens only
}

// SteeredBy returns the ports of a model and what is stored in it. It treats an unreadable manifest as empty; [ReadManifest]
// reports the error.
func SteeredBy(m *graph.Model) (ports []ManifestPort, stored map[BakedAt]Stored) {
	stored = map[BakedAt]Stored{}
	if text, ok := m.Meta(ManifestKey); ok {
		if man, err := parseManifest(text); err == nil {
			ports = man.Ports
			for _, b := range man.Baked {
				s := stored[b.At()]
				if b.Keep != nil {
					s.Gates++
				}
				switch {
				case b.Keep != nil && b.Tau == 0:
				case b.Tokens != nil:
					s.Chosen++
				default:
					s.Memories++
				}
				stored[b.At()] = s
			}
		}
	}
	return ports, stored
}
