package published

import (
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Set is the files of one run.
type Set struct {
	Dir      string
	Model    string   // as TransformerLens names it: gpt2-small
	Data     string   // hand or 2wmh; otherwise the name of the folder
	Encoding string   // unembed, embed, layer
	Sources  []string // of its memories, in the form of results.Cell.Source: curated, file:verbs, random:nouns

	kind  kind
	files []file // by tau, then by name
}

// file is one CSV file of a set, with the facts from its name.
type file struct {
	path   string
	tau    float64
	layer  int    // of a file with one column per word
	source string // of its memories
}

// kind is a kind of file.
type kind struct {
	name *regexp.Regexp
	set  func(dir string, match []string) (Set, file, bool)
	read func(*sheet, file) error
}

// kinds lists the kinds of file.
var kinds = sync.OnceValue(func() []kind {
	return []kind{
		{regexp.MustCompile(`^tweak_(\d+(?:\.\d+)?)\.csv$`), curatedSet, (*sheet).layers},
		{regexp.MustCompile(`^(.+)_(hand|2wmh)_fake_inject_layer(\d+)_tweak(\d+(?:\.\d+)?)_(\w+)\.csv$`), listSet, (*sheet).words},
		{regexp.MustCompile(`^(.+)_(hand|2wmh)_pos_inject_tweakFactor_(\d+(?:\.\d+)?)\.csv$`), drawnSet, (*sheet).layers},
	}
})

// hooks maps the functions of the authors' utils.py that create a memory to the encodings that they implement.
var hooks = map[string]string{
	"memory_tweaker_unembed_head_hook": "unembed",
	"memory_tweaker_embed_head_hook":   "embed",
	"memory_layer_encoding_hook":       "layer",
}

// lists are the word lists of top_word_types.csv, as the authors' scripts name them.
var lists = []string{"top_5000", "nouns", "verbs", "adjectives", "adverbs", "conjunctions", "subject"}

// dataFiles are the files that the authors' scripts read under these names.
var dataFiles = map[string]string{"hand": "handwritten_obscure_explicit_data.csv", "2wmh": "multi_hop_1000.csv"}

// Open reads all sets below a folder.
func Open(dir string) ([]*results.Run, error) {
	sets, err := Find(dir)
	if err != nil {
		return nil, err
	}
	var out []*results.Run
	for _, s := range sets {
		run, err := s.Read()
		if err != nil {
			return nil, err
		}
		out = append(out, run)
	}
	return out, nil
}

// Find lists the sets below a folder, sorted by the path of their folder, without reading a file. It skips files with other
// names. A folder without any set is an error.
func Find(dir string) ([]Set, error) {
	dir, err := filepath.Abs(dir) // model and data are in the names of the folders above a file
	if err != nil {
		return nil, fmt.Errorf("find published results: %w", err)
	}
	var sets []Set
	place := map[string]int{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for i, k := range kinds() {
			m := k.name.FindStringSubmatch(d.Name())
			if m == nil {
				continue
			}
			set, f, ok := k.set(filepath.Dir(path), m)
			if !ok {
				return nil
			}
			f.path = path
			key := fmt.Sprintf("%s %d %s %s", set.Dir, i, set.Model, set.Data)
			if f.layer >= 0 {
				key += fmt.Sprintf(" %d %g", f.layer, f.tau)
			}
			at, met := place[key]
			if !met {
				at = len(sets)
				place[key] = at
				set.kind = k
				sets = append(sets, set)
			}
			sets[at].files = append(sets[at].files, f)
			return nil
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find published results: %w", err)
	}
	if len(sets) == 0 {
		return nil, hint.With(
			fmt.Errorf("find published results in %q: no file has a name of the paper's scripts: want tweak_TAU.csv in a folder of a hook (%s), "+
				"MODEL_DATA_fake_inject_layerL_tweakTAU_LIST.csv or MODEL_DATA_pos_inject_tweakFactor_TAU.csv", dir, strings.Join(hookNames(), ", ")),
			"run scripts/paper.sh to download the files")
	}
	for i := range sets {
		s := &sets[i]
		slices.SortFunc(s.files, func(a, b file) int { return cmp.Or(cmp.Compare(a.tau, b.tau), cmp.Compare(a.path, b.path)) })
		for _, f := range s.files {
			if !slices.Contains(s.Sources, f.source) {
				s.Sources = append(s.Sources, f.source)
			}
		}
	}
	return sets, nil
}

func hookNames() []string {
	var out []string
	for name := range hooks {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// dataFolders maps folders of the authors' repository to the data that they contain.
var dataFolders = map[string]string{"data": "hand", "multi_1000": "2wmh"}

// curatedSet recognises tweak_TAU.csv. Model and data are in the names of the folders above the hook's folder:
// MODEL-DATA/HOOK or, in the authors' repository, DATA/MODEL/HOOK and DATA/OWNER/MODEL/HOOK.
func curatedSet(dir string, m []string) (Set, file, bool) {
	encoding, ok := hooks[filepath.Base(dir)]
	set := Set{Dir: dir, Encoding: encoding}
	f := file{tau: number(m[1]), layer: -1, source: "curated"}
	up := func(n int) string {
		for dir := filepath.Dir(dir); ; dir, n = filepath.Dir(dir), n-1 {
			if n == 0 {
				return filepath.Base(dir)
			}
		}
	}
	for name := range dataFiles {
		if before, cut := strings.CutSuffix(up(0), "-"+name); cut {
			set.Model, set.Data = before, name
			return set, f, ok
		}
	}
	set.Model, set.Data = up(0), up(1)
	if data, known := dataFolders[up(1)]; known {
		set.Data = data
	} else if data, known := dataFolders[up(2)]; known {
		set.Model, set.Data = up(1)+"/"+up(0), data
	}
	return set, f, ok
}

// listSet recognises a file with one column per word. The authors' script has a separate hook, which is the unembed one.
func listSet(dir string, m []string) (Set, file, bool) {
	layer, err := strconv.Atoi(m[3])
	return Set{Dir: dir, Model: m[1], Data: m[2], Encoding: "unembed"}, file{tau: number(m[4]), layer: layer, source: "file:" + m[5]}, err == nil
}

// drawnSet recognises a file with drawn words. The list is the end of the folder's name, or the whole name.
func drawnSet(dir string, m []string) (Set, file, bool) {
	source := "random"
	for _, list := range lists {
		if base := filepath.Base(dir); base == list || strings.HasSuffix(base, "-"+list) {
			source += ":" + list
		}
	}
	return Set{Dir: dir, Model: m[1], Data: m[2], Encoding: "unembed"}, file{tau: number(m[3]), layer: -1, source: source}, true
}

// number parses digits that a regular expression has matched.
func number(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64)
	return v
}
