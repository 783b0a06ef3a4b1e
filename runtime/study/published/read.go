package published

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// The prefixes of column names; a layer or a word follows.
const (
	probLayer   = "ans_prob_obs_edit_layer"
	topLayer    = "topk_tok_obs_edit_layer"
	memoryLayer = "injected_memory_layer_"
	probWord    = "ans_prob_obs_edit_subject_"
	topWord     = "topk_tok_obs_edit_subject_"
)

// Read reads the files of a set into one run.
func (s Set) Read() (*results.Run, error) {
	run := &results.Run{Dir: s.Dir, Manifest: s.manifest()}
	for i, f := range s.files {
		sh := &sheet{path: f.path, run: run, first: i == 0}
		if err := sh.open(func() error { return s.kind.read(sh, f) }); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(run.Cells, func(a, b results.Cell) int {
		return cmp.Or(cmp.Compare(a.Prompt, b.Prompt), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Tau, b.Tau))
	})
	m := run.Manifest
	m.Prompts = len(run.Prompts)
	for _, c := range run.Cells {
		if len(run.Prompts) > 0 && c.Prompt != run.Prompts[0].Index {
			break
		}
		m.Layers, m.Taus = append(m.Layers, c.Layer), append(m.Taus, c.Tau)
		m.Top = max(m.Top, len(c.Top))
	}
	slices.Sort(m.Layers)
	slices.Sort(m.Taus)
	m.Layers, m.Taus = slices.Compact(m.Layers), slices.Compact(m.Taus)
	return run, nil
}

// manifest describes a set before its files are read. It has no hashes, because the files do not contain model and data.
func (s Set) manifest() *results.Manifest {
	data := s.Data
	if name, ok := dataFiles[s.Data]; ok {
		data = name
	}
	m := &results.Manifest{
		Version: 1, Tool: "published with arXiv 2309.05605",
		Model: results.Model{Name: s.Model}, Data: results.File{Name: data},
		Encoding: s.Encoding, Convention: "tl-folded", Positions: "all", Texts: memory.PaperTexts,
		Shard: results.Shard{Of: 1}, Plan: results.Plan{Used: "points"}, Host: results.Host{Name: "TransformerLens"},
	}
	for _, source := range s.Sources {
		m.Memories = append(m.Memories, results.Source{Name: source})
	}
	return m
}

// layers reads a file with one column per layer.
func (s *sheet) layers(f file) error {
	type column struct {
		layer             int
		prob, top, memory string
	}
	var columns []column
	for _, name := range s.header {
		rest, ok := strings.CutPrefix(name, probLayer)
		if !ok {
			continue
		}
		layer, err := strconv.Atoi(rest)
		if err != nil {
			return s.fail("column %q: want a layer after %q, found %q", name, probLayer, rest)
		}
		columns = append(columns, column{layer, name, topLayer + rest, memoryLayer + rest})
	}
	if len(columns) == 0 {
		return s.fail("want a column %q, found %q", probLayer+"0", s.header)
	}
	s.run.Manifest.Model.Layers = len(columns)
	return s.each(func() error {
		for _, c := range columns {
			memory := s.prompt.ExplicitEntity
			if i, ok := s.column[c.memory]; ok {
				memory = s.row[i]
			} else if f.source != "curated" {
				return s.fail("want a column %q with the drawn words, found %q", c.memory, s.header)
			}
			if err := s.cell(f, c.layer, memory, c.prob, c.top); err != nil {
				return err
			}
		}
		return nil
	})
}

// words reads a file with one column per word.
func (s *sheet) words(f file) error {
	var words []string
	for _, name := range s.header {
		if word, ok := strings.CutPrefix(name, probWord); ok {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return s.fail("want a column %q for each word, found %q", probWord+"…", s.header)
	}
	return s.each(func() error {
		for _, word := range words {
			if err := s.cell(f, f.layer, word, probWord+word, topWord+word); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls do for every row.
func (s *sheet) each(do func() error) error {
	for n := 0; ; n++ {
		if ok, err := s.next(n); err != nil || !ok {
			return err
		}
		if err := do(); err != nil {
			return err
		}
	}
}

// cell adds the cell of one column of the row.
func (s *sheet) cell(f file, layer int, memory, prob, top string) error {
	score, err := s.score(prob, top)
	if err != nil {
		return err
	}
	s.run.Cells = append(s.run.Cells, results.Cell{
		Prompt: s.prompt.Index, Layer: layer, Tau: f.tau, Source: f.source, Memory: strings.Clone(memory), Encoding: s.run.Manifest.Encoding, Score: score,
	})
	return nil
}
