package eval

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Memory is one memory: a text to encode, a vector with the name that its file gives it, or a value that the model computes,
// with a name. The zero value is no memory, which is a vector of zeros.
type Memory struct {
	Text   string
	Vector []float32

	captured *captured
	parts    []Memory // one for each phrase of its prompt; nil for one memory
}

// encoded reports whether the memory is a text that becomes a vector of the residual stream.
func (m Memory) encoded() bool { return m.Text != "" && m.Vector == nil && m.captured == nil }

// Source returns memories for cells.
type Source struct {
	results.Source

	// at returns the memories of a prompt at a layer and at the tau with this index. Most sources depend only on the prompt.
	at func(prompt, layer, tau int) []Memory

	from *models.BakedAt // the place whose value the memories are, if it is another than the one that changes

	pairs bool // each phrase of a prompt has its memory
}

// sourceKind is one kind of source. To add one, write its open function and a line in sourceKinds.
type sourceKind struct {
	name     string // the part before the colon
	arg      string // the part after the colon, for help; "" when there is none; in brackets when it may be absent
	doc      string
	open     func(arg string, in sourceInput) (*Source, error)
	defaults Defaults
	anywhere bool   // the memory is the value of the site itself
	control  string // the source to compare with; "" for none
}

// Defaults are the settings that a kind of memory is made for. An empty field is the usual default.
type Defaults struct {
	Op        intervention.Op        // "" is add
	Site      models.PortKind        // "" is attn_out
	Positions intervention.Positions // the zero value is all
	Phrase    bool                   // the last token of the phrase for the entity, instead of Positions
	Told      bool                   // score prompts with the memory as text in front
}

// DefaultsOf returns the settings that sources of memories are made for. Sources that are made for different settings are refused.
func DefaultsOf(specs []string) (Defaults, error) {
	var out Defaults
	for i, spec := range specs {
		k, _, err := parseSource(spec)
		if err != nil {
			return out, err
		}
		if i > 0 && k.defaults != out {
			return out, hint.With(fmt.Errorf("%s and %s have different defaults", specs[0], spec), "give --op, --sites and --positions, or evaluate them one by one")
		}
		out = k.defaults
	}
	return out, nil
}

// sourceInput is the data that a source may use: how many rows the data has and the memories of all of them, even when only some
// are evaluated, and the whole grid, so that a part has the same draws as the whole.
type sourceInput struct {
	data   *Data
	layers int // of the model
	taus   int
	open   func(spec string) (*Source, error) // another source of the same data
}

// sourceKinds is the list of sources, in the order of help.
var sourceKinds = []sourceKind{
	{name: "curated", doc: "the missing hop: explicit_entity, or the column memory", open: openCurated},
	{name: "none", doc: "no memory: every cell is the clean run", open: openNone},
	{name: "wrong", arg: "[SOURCE]", doc: "the missing hop of another prompt, drawn once, or what that prompt has of SOURCE", open: openWrong},
	{name: "random", arg: "LIST", doc: "for each cell a word of LIST, drawn as in the paper", open: openRandom},
	{name: "text", arg: "TEXT", doc: "one text, for every prompt", open: openText},
	{name: "column", arg: "NAME", doc: "a column of the data", open: openColumn},
	{name: "file", arg: "PATH", doc: "every text or vector of a file in turn, for every prompt", open: openFile},
	{name: "captured", arg: "[COLUMN]", doc: "what the site holds at the last token of the one-hop prompt, or of COLUMN", open: openCaptured, anywhere: true},
	{name: "entity", doc: "the state of the missing hop's own name, in place of that of the phrase for it", open: openEntity, anywhere: true, control: "wrong:entity",
		defaults: Defaults{Op: intervention.Replace, Site: models.PortResidPost, Phrase: true, Told: true}},
	{name: "mean", arg: "FILE", doc: "what the site holds on average over the texts of a file", open: openMean, anywhere: true, defaults: Defaults{Op: intervention.Replace}},
	{name: "backpatch", arg: "LAYER", doc: "the prompt's own state after a layer, put into the place that changes", open: openBackpatch,
		defaults: Defaults{Op: intervention.Replace, Site: models.PortResidPost, Positions: intervention.LastPosition}},
}

// Sources lists the sources that [Config] accepts, each with a description.
func Sources() [][2]string {
	var out [][2]string
	for _, k := range sourceKinds {
		name := k.name
		switch {
		case strings.HasPrefix(k.arg, "["):
			name += "[:" + k.arg[1:]
		case k.arg != "":
			name += ":" + k.arg
		}
		out = append(out, [2]string{name, k.doc})
	}
	return out
}

// parseSource parses the name of a source: "curated", "random:words.txt", …
func parseSource(spec string) (k sourceKind, arg string, err error) {
	name, arg, hasArg := strings.Cut(spec, ":")
	i := slices.IndexFunc(sourceKinds, func(k sourceKind) bool { return k.name == name })
	if i < 0 {
		var names []string
		for _, d := range Sources() {
			names = append(names, d[0])
		}
		err := fmt.Errorf("memory %q: want one of %s", spec, strings.Join(names, ", "))
		return k, "", hint.With(err, fmt.Sprintf("for a text: --memory %q", "text:"+spec))
	}
	k = sourceKinds[i]
	if name == "wrong" && arg != "" { // what holds for the source holds for another prompt's memory
		inner, _, err := parseSource(arg)
		if err != nil {
			return k, "", err
		}
		k.defaults, k.anywhere = inner.defaults, inner.anywhere
	}
	switch {
	case k.arg == "" && hasArg:
		err = fmt.Errorf("memory %q: %s takes no argument", spec, name)
	case k.arg != "" && arg == "" && (hasArg || !strings.HasPrefix(k.arg, "[")):
		err = fmt.Errorf("memory %q: want %s:%s", spec, name, k.arg)
	}
	return k, arg, err
}

// WithControls adds the sources to compare the given sources with, where they are not among them.
func WithControls(specs []string) []string {
	out := slices.Clip(specs)
	for _, spec := range specs {
		if k, _, err := parseSource(spec); err == nil && k.control != "" && !slices.Contains(out, k.control) {
			out = append(out, k.control)
		}
	}
	return out
}

// SitesOf lists the sites that an operation with sources of memories can change: those of the residual stream where a memory is a
// text, because a text becomes a vector of the stream.
func SitesOf(op intervention.Op, specs []string) []models.PortKind {
	texts := op.UsesMemory() && slices.ContainsFunc(specs, func(spec string) bool {
		k, _, err := parseSource(spec)
		return err == nil && !k.anywhere
	})
	return slices.DeleteFunc(models.Sites(), func(k models.PortKind) bool { return texts && k.Intervention().ByHead() })
}

// CheckSources reports what is wrong with [Config.Memories] before any file is opened.
func CheckSources(specs []string) error {
	for i, spec := range specs {
		if _, _, err := parseSource(spec); err != nil {
			return err
		}
		if slices.Index(specs, spec) != i {
			return fmt.Errorf("memory %q was given twice", spec)
		}
	}
	return nil
}

func openSource(spec string, in sourceInput) (*Source, error) {
	k, arg, err := parseSource(spec)
	if err != nil {
		return nil, err
	}
	in.open = func(spec string) (*Source, error) { return openSource(spec, in) }
	s, err := k.open(arg, in)
	if err != nil {
		return nil, fmt.Errorf("memory %q: %w", spec, err)
	}
	switch { // the name of a source does not depend on the folder of its file
	case s.Name != "": // that of the source that another prompt has
		s.Name = k.name + ":" + s.Name
	case s.File != nil:
		s.Name = k.name + ":" + filepath.Base(arg)
	default:
		s.Name = spec
	}
	return s, nil
}

func openCurated(_ string, in sourceInput) (*Source, error) {
	if !slices.ContainsFunc(entityColumns, func(c string) bool { return slices.Contains(in.data.Columns, c) }) {
		return nil, fmt.Errorf("%s has no column %s", in.data.File.Name, strings.Join(entityColumns, " or "))
	}
	var texts []string
	for _, r := range in.data.Rows {
		texts = append(texts, r.ExplicitEntity)
	}
	return byPrompt(texts)
}

func openNone(string, sourceInput) (*Source, error) {
	none := []Memory{{}}
	return &Source{at: func(int, int, int) []Memory { return none }}, nil
}

func openText(text string, _ sourceInput) (*Source, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("want UTF-8")
	}
	one := []Memory{{Text: text}}
	return &Source{at: func(int, int, int) []Memory { return one }}, nil
}

func openColumn(name string, in sourceInput) (*Source, error) {
	texts, err := in.data.Column(name)
	if err != nil {
		return nil, err
	}
	return byPrompt(texts)
}

// openWrong gives each prompt what drawWrong draws: the curated memory of another one, or what that one has of a source.
func openWrong(source string, in sourceInput) (*Source, error) {
	drawn, err := drawWrong(in)
	if err != nil {
		return nil, err
	}
	if source == "" {
		texts := make([]string, len(in.data.Rows))
		for i := range texts {
			texts[i] = in.data.entities[drawn[i]][0]
		}
		return byPrompt(texts)
	}
	s, err := in.open(source)
	if err != nil {
		return nil, err
	}
	at := s.at
	s.at = func(prompt, layer, tau int) []Memory {
		list := slices.Clone(at(drawn[prompt], layer, tau))
		for i, m := range list {
			if m.captured != nil && m.captured.texts == nil { // the other prompt's own state, at its last token
				other := *m.captured
				other.texts = []string{in.data.Rows[drawn[prompt]].TwoHop}
				list[i].captured = &other
				list[i].Text += " of prompt " + strconv.Itoa(drawn[prompt])
			}
		}
		return list
	}
	return s, nil
}

// drawsWrong reports whether a source gives prompts the memories of others.
func drawsWrong(specs []string) bool {
	return slices.ContainsFunc(specs, func(s string) bool { return s == "wrong" || strings.HasPrefix(s, "wrong:") })
}

// drawWrong permutes the prompts so that none has a prompt with its own curated memory, or with one of its memories in the same
// place. It shuffles with a fixed seed. A prompt that drew its own text then swaps with the next prompt for which the swap is valid
// for both.
func drawWrong(in sourceInput) ([]int, error) {
	if _, err := openCurated("", in); err != nil {
		return nil, err
	}
	own := func(i int) []string { return in.data.entities[i] }
	if i := slices.IndexFunc(in.data.entities, func(x []string) bool { return x[0] == "" }); i >= 0 {
		return nil, fmt.Errorf("prompt %d has none", i)
	}
	alike := func(i, j int) bool {
		a, b := own(i), own(j)
		for k := range max(len(a), len(b)) {
			if a[k%len(a)] == b[k%len(b)] { // as Memory.forPhrases has it
				return true
			}
		}
		return false
	}
	drawn := make([]int, len(in.data.entities))
	for i := range drawn {
		drawn[i] = i
	}
	r := newTwister(42)
	for i := len(drawn) - 1; i > 0; i-- {
		j := r.below(i + 1)
		drawn[i], drawn[j] = drawn[j], drawn[i]
	}
	n := len(drawn)
	for i := range drawn {
		for step := 1; step < n && alike(drawn[i], i); step++ {
			j := (i + step) % n
			if !alike(drawn[j], i) && !alike(drawn[i], j) {
				drawn[i], drawn[j] = drawn[j], drawn[i]
			}
		}
		if alike(drawn[i], i) {
			if len(own(i)) > 1 {
				return nil, fmt.Errorf("prompt %d: found no other prompt that has none of the memories %s in the same place", i, strings.Join(own(i), and))
			}
			return nil, fmt.Errorf("half of the prompts or more have the memory %q: no order gives every prompt a different memory", own(i)[0])
		}
	}
	return drawn, nil
}

// byPrompt returns a source with one memory per prompt, the same at every layer and tau.
func byPrompt(texts []string) (*Source, error) {
	memories := make([][]Memory, len(texts))
	for i, text := range texts {
		if text == "" {
			return nil, fmt.Errorf("prompt %d has none", i)
		}
		memories[i] = []Memory{{Text: text}}
	}
	return &Source{at: func(prompt, _, _ int) []Memory { return memories[prompt] }}, nil
}

// openRandom draws a word for each cell as the paper's code does: random.seed(42), then random.choice(list) in nested loops
// over taus, layers and prompts. The draws cover all layers of the model and all rows of the data, so that a part of the
// grid has the same words as the whole; only the list of taus changes the draws.
func openRandom(arg string, in sourceInput) (*Source, error) {
	words, file, err := readTexts(arg)
	if err != nil {
		return nil, err
	}
	list := make([][]Memory, len(words))
	for i, w := range words {
		list[i] = []Memory{{Text: w}}
	}
	prompts := len(in.data.Rows)
	drawn := make([]int32, 0, in.taus*in.layers*prompts)
	r := newTwister(42)
	for range in.taus * in.layers {
		for i := range in.data.Count {
			if word := int32(r.below(len(words))); i < prompts {
				drawn = append(drawn, word)
			}
		}
	}
	return &Source{Source: results.Source{File: file}, at: func(prompt, layer, tau int) []Memory {
		return list[drawn[(tau*in.layers+layer)*prompts+prompt]]
	}}, nil
}

// openFile gives every prompt all memories of a file. A text that appears twice is used once.
func openFile(arg string, in sourceInput) (*Source, error) {
	var all []Memory
	if path, ok := vector.File(arg); ok {
		vectors, err := readVectors(arg)
		if err != nil {
			return nil, err
		}
		file, err := identify(path)
		if err != nil {
			return nil, err
		}
		for i, v := range vectors {
			name := v.Name
			if name == "" {
				name = fmt.Sprintf("%s[%d]", filepath.Base(path), i)
			}
			all = append(all, Memory{Text: name, Vector: v.Data})
		}
		return &Source{Source: results.Source{File: file}, at: func(int, int, int) []Memory { return all }}, nil
	}
	texts, file, err := readTexts(arg)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, text := range texts {
		if !seen[text] { // a row is identified by its memory
			all = append(all, Memory{Text: text})
		}
		seen[text] = true
	}
	return &Source{Source: results.Source{File: file}, at: func(int, int, int) []Memory { return all }}, nil
}
