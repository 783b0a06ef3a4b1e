package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

var update = flag.Bool("update", false, "rewrite the golden sections of testdata/script; review the diff")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"onnx-inject": measured, "faulty": faulty, "deaf": deaf})
}

// peakFile is the environment variable that names a file. The program, as the tests start it, writes its status there at the end.
// What a parent can measure of a child on Linux begins with the memory of the parent.
const peakFile = "ONNX_INJECT_TEST_PEAK"

// measured is main, and then the status of the process.
func measured() {
	path := os.Getenv(peakFile)
	if path == "" {
		main()
		return
	}
	code := run(os.Args, os.Stdout, os.Stderr)
	status, _ := os.ReadFile("/proc/self/status") // empty on other systems
	if err := os.WriteFile(path, status, 0o600); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// TestScripts runs testdata/script: one script per behaviour.
func TestScripts(t *testing.T) { scripts(t, testscript.Params{Dir: "testdata/script"}) }

// row runs the script in testdata/rows for one row of the test matrix.
func row(t *testing.T) {
	t.Helper()
	name := strings.TrimPrefix(t.Name(), "Test")[:3]
	scripts(t, testscript.Params{Files: []string{filepath.Join("testdata", "rows", name+".txtar")}})
}

// scripts runs scripts, each in an empty folder. $FIXTURES is the folder of exported files.
func scripts(t *testing.T, p testscript.Params) {
	t.Helper()
	fixtures, err := filepath.Abs("../../models/testdata")
	if err != nil {
		t.Fatal(err)
	}
	library := orttest.Host(t).Lib
	p.UpdateScripts = *update
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("FIXTURES", fixtures)
		e.Setenv("LIBRARY", library)
		e.Setenv("ONNX_INJECT_ORT_LIB", library)
		e.Setenv("HOME", e.WorkDir)
		h := newHub(t)
		e.Setenv("HF_ENDPOINT", h.URL)
		e.Values["hub"] = h
		// A vector of zeros, which encode never writes.
		return vector.Write(filepath.Join(e.WorkDir, "zero.npy"), &vector.Vector{Data: make([]float32, 128)}, false)
	}
	p.Condition = func(name string) (bool, error) {
		switch name {
		case "root":
			return os.Geteuid() == 0, nil
		case "tmpfs": // a small file system can be mounted
			dir := t.TempDir()
			if exec.Command("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", dir).Run() != nil {
				return false, nil
			}
			return true, exec.Command("umount", dir).Run()
		case "cuda": // both the library of the tests and the machine support it
			r := orttest.Host(t).Doctor(t.Context(), lib.CUDA)
			return r.CUDA.Present && len(r.CUDA.Missing) == 0, nil
		}
		return false, fmt.Errorf("unknown condition %q", name)
	}
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "json": jsonField, "demo-model": demoModel, "same-tokens": sameTokens, "model": textModel, "hostile": hostile, "hardlink": hardlink, "hub": hubCommand,
		"dead-nodes": deadNodes,
	}
	testscript.Run(t, p)
}

// exits N COMMAND… runs a command and fails unless its exit code is N.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N command …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// json PATH WANT compares a field of the JSON document on standard output, which must contain nothing else. A path is a list of
// names and indexes separated by dots; "len" at its end is the length of an array.
func jsonField(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json path want")
	}
	var doc any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc); err != nil {
		ts.Fatalf("standard output is not one JSON document: %v", err)
	}
	for key := range strings.SplitSeq(args[0], ".") {
		switch x := doc.(type) {
		case map[string]any:
			v, ok := x[key]
			if !ok && !neg {
				ts.Fatalf("no field %q of %q", key, args[0])
			}
			doc = v
		case []any:
			if key == "len" {
				doc = float64(len(x))
				continue
			}
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(x) {
				ts.Fatalf("no element %q of %q: there are %d", key, args[0], len(x))
			}
			doc = x[i]
		default:
			ts.Fatalf("%q: %q of %v", args[0], key, doc)
		}
	}
	b, err := json.Marshal(doc)
	ts.Check(err)
	got := strings.Trim(string(b), `"`)
	if (got == args[1]) == neg {
		ts.Fatalf("%s is %s, want %s%s", args[0], got, map[bool]string{true: "anything but "}[neg], args[1])
	}
}

// same-tokens FILE LIST FILE LIST compares two lists of {"token","id","p"}, p to 1e-6.
func sameTokens(ts *testscript.TestScript, neg bool, args []string) {
	read := func(file, list string) []tokenJSON {
		var doc map[string]json.RawMessage
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &doc))
		var out []tokenJSON
		ts.Check(json.Unmarshal(doc[list], &out))
		return out
	}
	a, b := read(args[0], args[1]), read(args[2], args[3])
	same := len(a) == len(b) && len(a) > 0
	for i := 0; same && i < len(a); i++ {
		same = a[i].ID == b[i].ID && math.Abs(float64(a[i].P-b[i].P)) < 1e-6
	}
	if same == neg {
		ts.Fatalf("%v\n%v", a, b)
	}
}

// demo-model DIR writes the folder of the built-in model.
func demoModel(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(demo.WriteTo(ts.MkAbs(args[0])))
}

// model TEXT OUT writes the model file for a graph in text form.
func textModel(ts *testscript.TestScript, neg bool, args []string) {
	m, err := graph.Parse(ts.ReadFile(args[0]))
	ts.Check(err)
	_, err = graph.Save(context.Background(), m, ts.MkAbs(args[1]), graph.Embed, false)
	ts.Check(err)
}

// hostile IN OUT copies a model and gives an output and the nodes names that contain terminal control sequences.
func hostile(ts *testscript.TestScript, neg bool, args []string) {
	m, err := graph.Load(args[0])
	ts.Check(err)
	e := m.Edit()
	e.Rename(m.Graph.Outputs()[0], "evil\x1b[31m\u202e\u009b\x00name\nsecond line")
	for i, n := range m.Graph.Nodes() {
		e.Relabel(n, fmt.Sprintf("\x1b]0;title %d\a", i))
	}
	ts.Check(e.Commit())
	_, err = graph.Save(context.Background(), m, ts.MkAbs(args[1]), graph.Embed, false)
	ts.Check(err)
}

// hardlink OLD NEW makes a hard link.
func hardlink(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.Link(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// dead-nodes N IN OUT copies a model and adds N nodes that nothing uses.
func deadNodes(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	m, err := graph.Load(ts.MkAbs(args[1]))
	ts.Check(err)
	e := m.Edit()
	for range n {
		e.Node(m.Graph, graph.Spec{Op: "Identity", Inputs: m.Graph.Inputs()[:1]})
	}
	ts.Check(e.Commit())
	_, err = graph.Save(context.Background(), m, ts.MkAbs(args[2]), graph.Embed, false)
	ts.Check(err)
}
