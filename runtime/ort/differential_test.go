//go:build cgo

package ort_test

import (
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

var (
	mutantRuns = flag.Int("mutants", 400, "mutants that TestMutantsReadAlike reads")
	mutantSeed = flag.Uint64("mutant-seed", 1, "seed of TestMutantsReadAlike")
	mutantsOf  = flag.String("mutants-of", "", "files to make mutants of, as a pattern; \"\": small models in the test")
	corpus     = flag.String("corpus", fixtures, "folder whose .onnx files TestFilesReadAlike reads")
)

// readers reads files with package graph and with ONNX Runtime and compares what they see. ONNX Runtime opens the bytes of
// the file itself, without optimisation, and writes the graph that it has made of them.
type readers struct {
	host   ort.Host
	dump   string
	counts map[string]int
}

func newReaders(t *testing.T) *readers {
	return &readers{host: orttest.Host(t), dump: filepath.Join(t.TempDir(), "seen.onnx"), counts: map[string]int{}}
}

// compare returns the differences between the two readers. A file that either refuses has none.
func (r *readers) compare(path string) ([]string, error) {
	m, err := graph.Load(path)
	if err != nil {
		r.counts["refused by graph"]++
		return nil, nil
	}
	defer m.Close()
	if err := r.host.Dump(runtime.Model{Path: path}, r.dump); err != nil {
		r.counts["refused by ONNX Runtime"]++
		if !operatorReason(err.Error()) {
			return []string{fmt.Sprintf("ONNX Runtime refuses what graph accepts: %v", err)}, nil
		}
		return nil, nil
	}
	r.counts["accepted by both"]++
	dir := filepath.Dir(path)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ours, err := graphtest.ViewOf(m)
	if err != nil {
		return nil, err
	}
	theirs, err := r.seen(dir)
	if err != nil {
		return nil, err
	}
	functions, err := graphtest.Functions(data)
	if err != nil {
		return nil, err
	}
	// ONNX Runtime drops a tensor that nothing reads, unless it is an output.
	var unread []string
	for name := range ours.Tensors {
		if m.Graph.Lookup(name) != nil && theirs.Tensors[name] == "" {
			unread = append(unread, name)
		}
	}
	if len(unread) > 0 {
		slices.Sort(unread)
		if err := r.host.Dump(runtime.Model{Bytes: graphtest.WithOutputs(data, unread), Dir: dir}, r.dump); err == nil {
			more, err := r.seen(dir)
			if err != nil {
				return nil, err
			}
			for _, name := range unread {
				if s, ok := more.Tensors[name]; ok {
					theirs.Tensors[name] = s
				}
			}
		}
	}
	d := &difference{counts: r.counts, ours: ours, theirs: theirs, functions: len(functions) > 0, reads: reading(m)}
	d.find()
	return d.found, nil
}

// seen reads the graph that ONNX Runtime wrote.
func (r *readers) seen(dir string) (*graphtest.View, error) {
	data, err := os.ReadFile(r.dump)
	if err != nil {
		return nil, err
	}
	return graphtest.ParseView(data, dir)
}

// difference compares two views.
type difference struct {
	counts       map[string]int
	ours, theirs *graphtest.View
	functions    bool            // the file defines functions
	reads        map[string]bool // tensors that are read or are outputs
	found        []string
}

func (d *difference) bad(what, key string, ours, theirs any) {
	d.found = append(d.found, fmt.Sprintf("%s %s: graph sees %q, ONNX Runtime %q", what, key, ours, theirs))
}

// find compares what the readers see. Where ONNX Runtime writes an operator as the body of the function that defines it, or
// inlines a function of the file, it chooses other names for the values inside, which begin with "_inlfunc_".
func (d *difference) find() {
	inlined := false
	for key := range d.theirs.Nodes {
		inlined = inlined || strings.Contains(key, "_inlfunc_")
	}
	for _, key := range keysOf(d.ours.Ports, d.theirs.Ports) {
		switch a, b := d.ours.Ports[key], d.theirs.Ports[key]; {
		case a == b:
			d.counts["inputs and outputs"]++
		case strings.HasPrefix(b, "_inlfunc_") && strings.Contains(key, "."):
			d.counts["inputs and outputs of branches in functions, which have other names"]++
		default:
			d.bad("port", key, a, b)
		}
	}
	for _, key := range keysOf(d.ours.Tensors, d.theirs.Tensors) {
		a, b := d.ours.Tensors[key], d.theirs.Tensors[key]
		switch {
		case a == b:
			d.counts["tensors"]++
		case b == "" && d.functions && strings.Contains(key, "/"), a == "" && strings.Contains(key, "_inlfunc_"):
			d.counts["tensors of functions, which have other names"]++
		case b == "" && !d.reads[key]:
			d.counts["tensors of branches that nothing reads, which ONNX Runtime drops"]++
		default:
			d.bad("tensor", key, a, b)
		}
	}
	if inlined || d.functions {
		if a, b := operators(d.ours), operators(d.theirs); a == b {
			d.counts["graphs with functions, of equal operators"]++
		} else if d.functions {
			d.found = append(d.found, fmt.Sprintf("graph inlines to %s, ONNX Runtime to %s", a, b))
		} else {
			d.counts["graphs with operators that ONNX Runtime writes as functions, whose nodes are not compared"]++
		}
		return
	}
	ours, theirs := withoutCasts(d.ours), withoutCasts(d.theirs)
	for _, key := range keysOf(ours, theirs) {
		if a, b := ours[key], theirs[key]; a != b {
			d.bad("node", key, a, b)
		}
		d.counts["nodes"]++
	}
}

func keysOf[V any](a, b map[string]V) []string {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// withoutCasts prints the nodes of a view except Casts. ONNX Runtime removes some of a model's Casts and inserts others, so
// that a node may read the same number from another side of a Cast. It also gives each reader of a DequantizeLinear one of
// its own.
func withoutCasts(v *graphtest.View) map[string]string {
	plain := func(name string) string { // the name in the file
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "InsertedPrecisionFreeCast_"), "/duplicated")
		return name
	}
	from := map[string]string{}
	path := func(key string) string { return key[:len(key)-len(v.Nodes[key].First())] }
	for key, n := range v.Nodes {
		if isCast(n) && plain(n.Ins[0]) != plain(n.First()) {
			from[path(key)+plain(n.First())] = plain(n.Ins[0])
		}
	}
	out := map[string]string{}
	for key, n := range v.Nodes {
		if isCast(n) || n.Op == "DequantizeLinear" && strings.Contains(key, "/duplicated") {
			continue
		}
		var ins, outs []string
		for _, name := range n.Ins {
			name = plain(name)
			for range len(from) {
				if next, ok := from[path(key)+name]; ok {
					name = next
				}
			}
			ins = append(ins, name)
		}
		for _, name := range n.Outs {
			outs = append(outs, plain(name))
		}
		out[path(key)+plain(n.First())] = fmt.Sprintf("%s(%s) -> %s", n.Op, strings.Join(ins, ", "), strings.Join(outs, ", "))
	}
	return out
}

func isCast(n graphtest.NodeView) bool {
	return (n.Op == "Cast" || n.Op == "CastLike") && len(n.Ins) > 0
}

// reading returns the keys of the tensors that are read or are outputs.
func reading(m *graph.Model) map[string]bool {
	out := map[string]bool{}
	var scope func(path string, g *graph.Graph)
	scope = func(path string, g *graph.Graph) {
		mark := func(v *graph.Value) {
			if v != nil && (len(v.Uses()) > 0 || v.IsOutput()) {
				out[path+v.Name()] = true
			}
		}
		for _, v := range g.Initializers() {
			mark(v)
		}
		for _, n := range g.Nodes() {
			first := ""
			for _, v := range n.Outputs() {
				mark(v)
				first = cmp.Or(first, v.Name())
			}
			for _, b := range n.Branches() {
				scope(path+first+"."+b.Attr()+" ", b)
			}
		}
	}
	scope("", m.Graph)
	return out
}

// operators counts the operators of a view.
func operators(v *graphtest.View) string {
	n := map[string]int{}
	for _, x := range v.Nodes {
		if !isCast(x) {
			n[x.Op]++
		}
	}
	return fmt.Sprint(n)
}

// operatorReason reports whether ONNX Runtime refuses a model because of an operator: one that it does not know, of a
// version that it does not know, or used in a way that its definition forbids. Package graph does not know operators.
func operatorReason(text string) bool {
	for _, s := range operatorReasons {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

var operatorReasons = []string{
	"In Node, (",                      // an operator's inputs, outputs or attributes
	"Error type field and data field", // of an attribute
	"Op (",                            // a node's types or shapes
	"ShapeInferenceError",
	"!(it.GetName().empty())", // a function with an output that is an input, or twice, which package graph reads: see TestInline
	"TypeInferenceError",
	"Type Error: ",
	"Could not find an implementation",
	"Exception during initialization", // of a kernel
	"is not a registered function/op",
	"node_op_schema->",       // in the body of a function
	"vector::_M_range_check", // a node with more outputs than its operator has
	"Missing opset",
	"official released onnx opset versions",
	"model IR version",
	"No opset registered for domain", // in a function
	// Other hosts run it.
	"is an outer scope value being returned directly",
}

// report prints the counts.
func (r *readers) report(t *testing.T) {
	for _, k := range slices.Sorted(maps.Keys(r.counts)) {
		t.Logf("%7d %s", r.counts[k], k)
	}
}

// TestFilesReadAlike reads every fixture. For each file that package graph and ONNX Runtime accept, both must see the same
// inputs, outputs, tensors (names, types, shapes, bytes), nodes and functions.
func TestFilesReadAlike(t *testing.T) {
	r := newReaders(t)
	files := 0
	err := filepath.WalkDir(*corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".onnx" {
			return err
		}
		files++
		found, err := r.compare(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, s := range found {
			t.Errorf("%s: %s", path, s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.report(t)
	if r.counts["accepted by both"] < files/2 || r.counts["tensors"] < 10*files {
		t.Errorf("%d files: too little was compared", files)
	}
}

// small are models that ONNX Runtime runs, each with other features of the format.
var small = []string{
	`ir 8 opset 17 graph main {
		in x: float32[batch, 4]
		const w = float32[4] {1, 2, 3, 4}
		const unused = float16[2] {1, 2}
		const half = int64[2] {2, 2}
		h: float32[batch, 4] = Add(x, w) @add
		a, b = Split(h, half) {axis: 1} @split
		k = Constant() {value: float32[2] {3, 4}}
		z = Mul(a, k)
		y: float32[batch, 2] = Clip(z, _, b0)
		const b0 = float32[] {2}
		out y out b }`,
	`ir 8 opset 17 graph main {
		in x: float32[4] in c: bool[]
		const w = float32[4] {1, 2, 3, 4}
		y: float32[4] = If(c) {
			then_branch: graph t { const v = float32[4] {5, 6, 7, 8} a = Add(x, v) p: float32[4] = Mul(a, w) out p },
			else_branch: graph e { n: float32[4] = Neg(x) out n } }
		out y }`,
	`ir 9 opset 17 opset pkg 1
		function pkg.Inner { opset 17 attr axis in v  r = Softmax(v) {axis: $axis}  out r }
		function pkg.Outer { opset 17 opset pkg 1 attr dim: 0 in v in u  i = pkg.Inner(v) {axis: $dim}  k = Constant() {value: float32[4] {1, 2, 3, 4}}  s = Mul(i, k)  r = Add(s, u)  out r }
		graph main { in x: float32[4]  const w = float32[4] {1, 2, 3, 4}  y = pkg.Outer(x, w)  z: float32[4] = pkg.Outer(y, x)  out z }`,
	`ir 3 opset 11 graph main {
		in x: float32[2, 4] in w: float32[4, 2] = float32[4, 2] {1, 2, 3, 4, 5, 6, 7, 8} in s: int64[1] = int64[1] {0}
		h = MatMul(x, w) t = Unsqueeze(h) {axes: [0]} y: float32[2, 2] = Squeeze(t) {axes: [0]} i = Identity(s) out y out i }`,
	`ir 9 opset 19 graph main {
		in x: float32[4]
		const i8 = int8[4] {1, 2, 3, 4} const u8 = uint8[4] {1, 2, 3, 4} const b = bool[4] {1, 0, 1, 0} const d = float64[2] {1, 2} const bf = bfloat16[2] {1, 2}
		f = Cast(i8) {to: 1} y = Where(b, x, f) u = Cast(u8) {to: 1} z = Add(y, u) e = Identity(d) g = Identity(bf) out z out e out g }`,
}

// TestMutantsReadAlike changes small models at random and compares the readers as TestFilesReadAlike does. If ONNX Runtime
// refuses a mutant that package graph accepts, the reason must be an operator.
func TestMutantsReadAlike(t *testing.T) {
	r := newReaders(t)
	var models []*graphtest.Wire
	texts, files := small, []string{"../../graph/testdata/functions.onnx"}
	if *mutantsOf != "" {
		var err error
		if files, err = filepath.Glob(*mutantsOf); err != nil || len(files) == 0 {
			t.Fatalf("no file matches %q (%v)", *mutantsOf, err)
		}
		texts = nil
	}
	for _, text := range texts {
		m, err := graph.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		data, _, err := graph.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, parseWire(t, data))
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, parseWire(t, data))
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "mutant.onnx")
	rnd := rand.New(rand.NewPCG(*mutantSeed, 0x6f6e6e78))
	for i := range *mutantRuns {
		data := models[i%len(models)].Mutate(rnd, 1+rnd.IntN(3))
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		found, err := r.compare(path)
		if err != nil {
			found = append(found, err.Error())
		}
		if len(found) > 0 {
			kept := filepath.Join(os.TempDir(), fmt.Sprintf("mutant-%d-%d.onnx", *mutantSeed, i))
			_ = os.WriteFile(kept, data, 0o644)
			t.Errorf("%s: %s", kept, strings.Join(found, "; "))
		}
	}
	r.report(t)
	if r.counts["accepted by both"] < *mutantRuns/10 {
		t.Error("too few mutants were accepted")
	}
}

func parseWire(t *testing.T, data []byte) *graphtest.Wire {
	t.Helper()
	w, ok := graphtest.ParseWire(data)
	if !ok {
		t.Fatal("the model is not protobuf fields")
	}
	return w
}
