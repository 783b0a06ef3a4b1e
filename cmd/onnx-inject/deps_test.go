package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/onnx-inject/onnx-inject"

// rooms are the top-level folders, lowest first. A package imports its own room and those below it.
var rooms = []string{"graph", "models", "rewrite", "runtime", "cmd"}

// rule forbids imports. A pattern is a path; a trailing /... matches the path and all paths below it. Our own paths begin with "./".
type rule struct {
	what      string   // title
	in        []string // packages that the rule restricts
	except    []string // exceptions among them
	forbids   []string
	tests     bool // also in test files
	rationale string
}

var rules = []rule{
	{
		what: "the C library", in: []string{"./..."}, except: []string{"./runtime/ort"}, forbids: []string{"C", "github.com/yalue/onnxruntime_go", "runtime/cgo"},
		rationale: "inspect and rewrite are pure Go and work on a machine without a C compiler or ONNX Runtime",
	},
	{
		what: "loading of code", in: []string{"./..."}, forbids: []string{"plugin", "encoding/gob"}, tests: true,
		rationale: "a model or data file never loads code",
	},
	{
		what: "the network", in: []string{"./..."}, except: []string{"./models/...", "./cmd/...", "./runtime/..."}, forbids: []string{"net/http", "net"}, tests: true,
		rationale: "graph and rewrite work on files and never use the network",
	},
	{
		what: "the network and locks, below models", in: []string{"./models/..."}, except: []string{"./models/hub/..."},
		forbids: []string{"net/http", "net", "github.com/gofrs/flock"}, tests: true,
		rationale: "only package hub uses the network; the other packages of models read files",
	},
	{
		what: "other programs", in: []string{"./graph/...", "./models/...", "./rewrite/...", "./runtime", "./runtime/decoder", "./runtime/steer", "./runtime/ort"},
		forbids:   []string{"os/exec"},
		rationale: "only ort/lib runs another program, pip or npm, and isolate runs this one",
	},
	{
		what: "onnx-go", in: []string{"./..."}, forbids: []string{"github.com/owulveryck/onnx-go/..."},
		rationale: "archived, and it cannot run a GPT-2: tests use it as an independent implementation, the program never does",
	},
	{
		what: "flags and terminals", in: []string{"./..."}, except: []string{"./cmd/...", "./scripts/..."},
		forbids: []string{"flag", "github.com/urfave/cli/...", "golang.org/x/term", "github.com/schollz/progressbar/...",
			"github.com/jedib0t/go-pretty/...", "os/signal"},
		rationale: "every package outside cmd is a library: it returns values and errors, and prints nothing",
	},
	{
		what: "our packages, in graph/base", in: []string{"./graph/base/..."}, forbids: []string{"./..."}, tests: true,
		rationale: "every package uses hints, choices and atomic files, so they depend on no other package",
	},
	{
		what: "decoders, below models", in: []string{"./models/weights", "./models/tokenizer", "./models/vector", "./models/chat"},
		forbids:   []string{"./models", "./models/recognise", "./models/inputs", "./models/memory", "./models/folder"},
		rationale: "matrices, tokens and vector files do not depend on the structure of a model",
	},
	{
		what: "the uses of a layout", in: []string{"./models", "./models/recognise"},
		forbids:   []string{"./models/inputs", "./models/memory", "./models/folder"},
		rationale: "finding a layout does not depend on its uses",
	},
	{
		what: "recognition", in: []string{"./models", "./models/inputs", "./models/memory", "./models/folder"}, forbids: []string{"./models/recognise"},
		rationale: "the uses of a layout do not depend on how it was found: a layout can be built by hand",
	},
	{
		what: "hosts, where decoders are opened", in: []string{"./runtime", "./runtime/decoder", "./runtime/steer", "./runtime/isolate"}, forbids: []string{"./runtime/ort/..."},
		rationale: "the caller chooses the host: another one can take the place of ONNX Runtime",
	},
	{
		what: "the study", in: []string{"./..."}, except: []string{"./runtime/study/...", "./cmd/...", "./scripts/..."}, forbids: []string{"./runtime/study/..."}, tests: true,
		rationale: "a program that only runs and steers a model contains no statistics and no drawing code",
	},
	{
		what: "drawing", in: []string{"./..."}, except: []string{"./runtime/study/report", "./scripts/..."}, forbids: []string{"gonum.org/v1/plot/..."},
		rationale: "only package report draws; callers that need a picture use it",
	},
	{
		what: "linear algebra", in: []string{"./..."}, except: []string{"./runtime/study/contrast", "./runtime/study/report", "./scripts/..."}, forbids: []string{"gonum.org/v1/gonum/..."},
		rationale: "only steering vectors from pairs of texts need a decomposition; everything else is a sum",
	},
	{
		what: "tests", in: []string{"./..."}, except: helpers,
		forbids:   []string{"testing", "pgregory.net/rapid", "github.com/google/go-cmp/...", "github.com/rogpeppe/go-internal/..."},
		rationale: "test helpers are in packages whose names end in test",
	},
	{
		what: "scripts", in: []string{"./..."}, except: []string{"./scripts/..."}, forbids: []string{"./scripts/..."}, tests: true,
		rationale: "a script can use every package; no package depends on a script",
	},
}

// helpers are the packages that contain test helpers for other packages.
var helpers = []string{"./graph/graphtest", "./models/hub/hubtest", "./runtime/runtimetest", "./runtime/ort/orttest"}

// thirdParty lists the modules that the lower rooms may import.
var thirdParty = map[string][]string{
	"graph": {"google.golang.org/protobuf/..."}, // the wire format, and the messages generated from onnx-ml.proto
	"models": {"github.com/gofrs/flock", // only hub: it shares its cache with the hub's own client, which locks files
		"github.com/ardanlabs/jinja"}, // only chat: chat templates are programs in that language
	"rewrite": nil,
}

// imported is one import of one file.
type imported struct {
	pkg, file, path string // our own packages begin with "./"
	test            bool
}

func TestImports(t *testing.T) {
	all := readImports(t, "../..")
	if len(all) < 200 {
		t.Fatalf("found only %d imports: the walk over the files is broken", len(all))
	}
	for _, i := range all {
		for _, r := range rules {
			if r.broken(i) {
				t.Errorf("%s imports %s: %s", i.file, i.path, r.rationale)
			}
		}
	}
}

// broken reports whether the rule forbids an import.
func (r rule) broken(i imported) bool {
	return (!i.test || r.tests) && within(i.pkg, r.in) && !within(i.pkg, r.except) && within(i.path, r.forbids)
}

// Imports go one way: cmd → runtime → rewrite → models → graph.
func TestImportsOneWay(t *testing.T) {
	used := map[string]bool{}
	for _, i := range readImports(t, "../..") {
		from, to := room(i.pkg), room(i.path)
		if i.test || from < 0 || to < 0 {
			continue
		}
		used[rooms[from]] = true
		if to > from {
			t.Errorf("%s imports %s: imports go from %s", i.file, i.path, strings.Join(rooms, " up to "))
		}
	}
	if len(used) < 4 {
		t.Errorf("found imports of %v only", used)
	}
}

// The lower rooms import only the standard library and the modules in thirdParty.
func TestImportsThirdParty(t *testing.T) {
	for _, i := range readImports(t, "../..") {
		first, _, _ := strings.Cut(i.path, "/")
		n := room(i.pkg)
		if n < 0 || i.test || !strings.Contains(first, ".") || first == "." || within(i.pkg, helpers) {
			continue
		}
		if allowed, listed := thirdParty[rooms[n]]; listed && !within(i.path, allowed) {
			t.Errorf("%s imports %s: %s may import only %v", i.file, i.path, rooms[n], append([]string{"the standard library"}, allowed...))
		}
	}
}

// A rule forbids the imports it describes and allows its exceptions.
func TestImportsRules(t *testing.T) {
	concrete := func(pattern string) string { return strings.Replace(pattern, "...", "some/package", 1) }
	for _, r := range rules {
		t.Run(r.what, func(t *testing.T) {
			if r.rationale == "" || len(r.in) == 0 || len(r.forbids) == 0 {
				t.Errorf("the rule is incomplete: %+v", r)
			}
			for _, in := range r.in {
				for _, f := range r.forbids {
					if i := (imported{pkg: concrete(in), path: concrete(f)}); !r.broken(i) {
						t.Errorf("%s may import %s", i.pkg, i.path)
					}
				}
			}
			for _, in := range r.except {
				if i := (imported{pkg: concrete(in), path: concrete(r.forbids[0])}); r.broken(i) {
					t.Errorf("%s may not import %s", i.pkg, i.path)
				}
			}
		})
	}
	if within("./graphics", []string{"./graph/..."}) || !within("./graph", []string{"./graph/..."}) {
		t.Error("patterns do not match whole path elements")
	}
}

func room(p string) int {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "./"), "/")
	if !strings.HasPrefix(p, "./") {
		return -1
	}
	return slices.Index(rooms, first)
}

// within reports whether a path matches one of the patterns.
func within(p string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		below, ok := strings.CutSuffix(pattern, "/...")
		return p == pattern || ok && (p == below || strings.HasPrefix(p, below+"/"))
	})
}

// readImports parses the imports of every Go file of the module, for all systems.
func readImports(t *testing.T, root string) []imported {
	t.Helper()
	var out []imported
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() != ".." && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, ok := strings.CutPrefix(p, module); ok {
				p = "." + ours
			}
			out = append(out, imported{pkg: "./" + path.Dir(rel), file: rel, path: p, test: strings.HasSuffix(rel, "_test.go")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
