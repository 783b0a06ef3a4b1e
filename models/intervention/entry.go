package intervention

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/choice"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
)

// Op is an operation on the value of a site.
type Op string

// The operations.
const (
	Add     Op = "add"
	Replace Op = "replace"
	Scale   Op = "scale"
	Ablate  Op = "ablate"
)

// Ops lists the operations.
var Ops = []Op{Add, Replace, Scale, Ablate}

// UsesMemory reports whether the operation needs a memory.
func (o Op) UsesMemory() bool { return o == Add || o == Replace }

// When says on which tokens of a text a change acts.
type When string

// The choices.
const (
	Always    When = "always"
	Prompt    When = "prompt"    // the tokens of the prompt
	Generated When = "generated" // the tokens after it
)

// Whens lists the choices, the default first.
var Whens = []When{Always, Prompt, Generated}

// Entry is one element of an interventions file. The JSON object of an entry is also what manifests record.
type Entry struct {
	Site      models.PortKind `json:"site,omitempty"` // "" is attn_out
	Layers    Layers          `json:"layers"`
	Heads     []int           `json:"heads,omitempty"` // of site z; nil for all
	Op        Op              `json:"op"`
	Memory    *Memory         `json:"memory,omitempty"`    // of add and replace
	Tau       *float64        `json:"tau,omitempty"`       // of add and replace; nil is 1
	Keep      *float64        `json:"keep,omitempty"`      // of scale: the factor
	Positions string          `json:"positions,omitempty"` // see ParsePositions; "" is all
	When      When            `json:"when,omitempty"`      // "" is always
}

// Memory says what is added. Exactly one of Text, Vector and Captured is set.
type Memory struct {
	Text       string            `json:"text,omitempty"`
	Encoding   memory.Encoding   `json:"encoding,omitempty"`   // of a text; "" is the default
	Convention memory.Convention `json:"convention,omitempty"` // of a text; "" is the default
	Vector     string            `json:"vector,omitempty"`     // FILE or FILE#NAME; see vector.Read
	Captured   *Captured         `json:"captured,omitempty"`
}

// Captured is a value that the model itself computes for a prompt.
type Captured struct {
	Prompt   string          `json:"prompt"`             // "" is the prompt of the run: back-patching
	Position string          `json:"position,omitempty"` // "last" or an index; "" is last
	Layer    *int            `json:"layer,omitempty"`    // nil: the layer that is changed
	Site     models.PortKind `json:"site,omitempty"`     // "": the site that is changed
}

// Layers is a list of layers as models.ParseLayers reads it. In JSON it is a text, a number, or a list of numbers.
type Layers string

// UnmarshalJSON accepts "0-3,7", 7 and [0, 7].
func (l *Layers) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var parts []string
	for _, x := range list {
		switch x := x.(type) {
		case string:
			parts = append(parts, x)
		case float64:
			if x != math.Trunc(x) {
				return fmt.Errorf("layer %v: want a whole number", x)
			}
			parts = append(parts, fmt.Sprintf("%.0f", x))
		default:
			return fmt.Errorf("layers %s: want a text such as \"0-3,7\", a number, or a list of numbers", b)
		}
	}
	*l = Layers(strings.Join(parts, ","))
	return nil
}

// Parse reads an interventions file: a JSON list of entries, or one entry. Unknown fields are errors.
func Parse(data []byte) ([]Entry, error) {
	var out []Entry
	var into any = &out
	single := Entry{}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		into = &single
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more data after the list")
	}
	if into == &single {
		out = []Entry{single}
	}
	if len(out) == 0 {
		return nil, errors.New("the list is empty")
	}
	for i := range out {
		if err := out[i].Check(); err != nil {
			return nil, fmt.Errorf("intervention %d: %w", i, err)
		}
	}
	return out, nil
}

// At returns the site of the entry.
func (e Entry) At() models.PortKind {
	if e.Site == "" {
		return models.DefaultSite
	}
	return e.Site
}

// Check refuses an entry that is invalid for any model.
func (e Entry) Check() error {
	at := e.At()
	finite := func(x *float64) bool { return x == nil || !math.IsNaN(*x) && !math.IsInf(float64(float32(*x)), 0) }
	if _, err := models.ParseSite(string(at)); err != nil {
		return err
	}
	if _, err := choice.Of("op", string(e.Op), Ops); err != nil {
		return err
	}
	if e.When != "" {
		if _, err := choice.Of("when", string(e.When), Whens); err != nil {
			return err
		}
	}
	p, err := e.positions()
	switch {
	case err != nil:
		return err
	case e.Layers == "":
		return errors.New("layers are missing")
	case e.Heads != nil && !at.Intervention().ByHead():
		return fmt.Errorf("heads at %s, which has no heads; z has them", at)
	case e.Heads != nil && len(e.Heads) == 0:
		return errors.New("the list of heads is empty")
	case e.Op.UsesMemory() && e.Memory == nil:
		return fmt.Errorf("%s needs a memory", e.Op)
	case !e.Op.UsesMemory() && e.Memory != nil:
		return fmt.Errorf("%s takes no memory", e.Op)
	case !e.Op.UsesMemory() && e.Tau != nil:
		return fmt.Errorf("%s takes no tau", e.Op)
	case e.Op == Scale && e.Keep == nil:
		return errors.New("scale needs keep, the factor")
	case e.Op != Scale && e.Keep != nil:
		return fmt.Errorf("%s takes no keep", e.Op)
	case !finite(e.Tau) || !finite(e.Keep):
		return errors.New("tau and keep must be numbers that float32 can hold")
	case e.When == Generated && p != AllPositions:
		return fmt.Errorf("positions %v are tokens of the prompt, but the change acts on generated tokens", p)
	}
	if e.Memory != nil {
		return e.Memory.check(at)
	}
	return nil
}

func (e Entry) positions() (Positions, error) {
	if e.Positions == "" {
		return AllPositions, nil
	}
	return ParsePositions(e.Positions)
}

// tau returns tau, which is 1 unless the entry gives it.
func (e Entry) tau() float64 {
	if e.Tau == nil {
		return 1
	}
	return *e.Tau
}

// keep returns the factor of the operation.
func (e Entry) keep() float64 {
	switch e.Op {
	case Scale:
		return *e.Keep
	case Ablate, Replace:
		return 0
	}
	return 1
}

func (m *Memory) check(at models.PortKind) error {
	n := 0
	for _, set := range []bool{m.Text != "", m.Vector != "", m.Captured != nil} {
		if set {
			n++
		}
	}
	switch {
	case n != 1:
		return errors.New("memory: want one of text, vector and captured")
	case m.Text == "" && (m.Encoding != "" || m.Convention != ""):
		return errors.New("memory: encoding and convention are those of a text")
	case m.Text != "" && at.Intervention().ByHead():
		return fmt.Errorf("memory: a text becomes a vector of the residual stream, and %s is no part of it; want a vector or captured", at)
	}
	if m.Encoding != "" && !slices.Contains(memory.Encodings, m.Encoding) {
		return fmt.Errorf("memory: encoding %q: want one of %v", m.Encoding, memory.Encodings)
	}
	if m.Convention != "" && !slices.Contains(memory.Conventions, m.Convention) {
		return fmt.Errorf("memory: convention %q: want one of %v", m.Convention, memory.Conventions)
	}
	if c := m.Captured; c != nil {
		if c.Site != "" {
			if _, err := models.ParseSite(string(c.Site)); err != nil {
				return fmt.Errorf("captured: %w", err)
			}
			if c.Site.Intervention().ByHead() != at.Intervention().ByHead() {
				return fmt.Errorf("captured: the value of %s has another shape than that of %s", c.Site, at)
			}
		}
		if _, err := c.at(1); c.Position != "" && c.Position != "last" && err != nil && !errors.Is(err, errRange) {
			return err
		}
	}
	return nil
}

// AddText is the entry of a memory that is a text, added to the attention output of a layer at all positions.
func AddText(text string, layer int, tau float64, enc memory.Encoding, conv memory.Convention) Entry {
	return Entry{Op: Add, Layers: Layers(strconv.Itoa(layer)), Tau: &tau, Memory: &Memory{Text: text, Encoding: enc, Convention: conv}}
}

// String describes the entry in one line, such as "add at attn_out@7, tau 2".
func (e Entry) String() string {
	s := fmt.Sprintf("%s at %s@%s", e.Op, e.At(), e.Layers)
	for i, h := range e.Heads {
		s += map[bool]string{true: ", head ", false: " and "}[i == 0] + strconv.Itoa(h)
	}
	if e.Op.UsesMemory() && (e.Op != Replace || e.Tau != nil) {
		s += ", tau " + strconv.FormatFloat(e.tau(), 'g', -1, 64)
	}
	if e.Keep != nil {
		s += ", times " + strconv.FormatFloat(*e.Keep, 'g', -1, 64)
	}
	if e.Positions != "" && e.Positions != "all" {
		s += ", positions " + e.Positions
	}
	if e.When != "" && e.When != Always {
		s += ", tokens: " + string(e.When)
	}
	return s
}
