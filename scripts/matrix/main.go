// Command matrix runs the tests that hold the rows of the reliability matrices and prints row, tests and result. Run it from the
// root of the repository:
//
//	go run ./scripts/matrix           # every row; "make matrix" sets up the library first
//	go run ./scripts/matrix D03 S     # one row, and all rows whose id begins with S
//
// A test holds a row when its name begins with Test and the row's id: TestA05Nesting holds A05, TestD01D03Kill holds D01 and D03. The
// rows are in rows.go. Matrix W, about a web server, does not apply: the program has none.
//
// The exit code is 1 when a row has no test, when a test of a row fails or is skipped, or when a package does not build.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	wanted, err := choose(rows, os.Args[1:])
	if err != nil {
		log.Fatal("matrix: ", err)
	}
	results, broken, err := run(wanted)
	if err != nil {
		log.Fatal("matrix: ", err)
	}
	if !show(os.Stdout, wanted, results, broken) {
		os.Exit(1)
	}
}

// choose returns the rows whose ids begin with one of the prefixes; all rows when there are none.
func choose(rows []row, prefixes []string) ([]row, error) {
	if len(prefixes) == 0 {
		return rows, nil
	}
	var out []row
	for _, prefix := range prefixes {
		known := false
		for _, r := range rows {
			if strings.HasPrefix(r.id, prefix) {
				known = true
				if !slices.Contains(out, r) {
					out = append(out, r)
				}
			}
		}
		if !known {
			return nil, fmt.Errorf("row %q: want a row or the beginning of one, such as A05 or S", prefix)
		}
	}
	return out, nil
}

// run runs the tests of the rows in every package, once. It returns what read returns.
func run(rows []row) (byRow map[string][]test, broken []string, err error) {
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	// The group in front of the ids lets a test that holds several rows be found by any of them.
	pattern := `^Test([A-Z][0-9][0-9])*(` + strings.Join(ids, "|") + `)([^0-9]|$)`
	cmd := exec.Command("go", "test", "-json", "-count=1", "-timeout=60m", "-run", pattern, "./...")
	cmd.Env = append(os.Environ(), "ONNX_INJECT_MATRIX=1") // tests that are too slow for "make test" run as well
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	byRow, broken, err = read(out)
	if err != nil {
		cmd.Process.Kill()
	}
	// The command fails when a test or a package does, and the table shows these.
	if wait := cmd.Wait(); err == nil && len(byRow) == 0 {
		err = wait
	}
	return byRow, broken, err
}

// test is one test function and its result.
type test struct {
	pkg, name string
	action    string // pass, fail or skip
	skipped   int    // subtests that were skipped
	output    string // of the test and its subtests
}

func (t test) String() string { return path.Base(t.pkg) + "." + t.name }

// read reads the events of "go test -json". It returns the tests by row, and the packages that failed although none of their tests
// did: those that do not build, and those whose process ended.
func read(r io.Reader) (byRow map[string][]test, broken []string, err error) {
	type key struct{ pkg, name string }
	found := map[key]*test{}
	var order []key
	failed := map[string]bool{} // packages with a failing test
	s := bufio.NewScanner(r)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			return nil, nil, fmt.Errorf("want an event of go test -json, got %.80q: %w", s.Text(), err)
		}
		if e.Test == "" {
			if e.Action == "fail" && !failed[e.Package] {
				broken = append(broken, e.Package)
			}
			continue
		}
		name, sub, isSub := strings.Cut(e.Test, "/")
		k := key{e.Package, name}
		t := found[k]
		if t == nil {
			t = &test{pkg: e.Package, name: name}
			found[k], order = t, append(order, k)
		}
		switch e.Action {
		case "output":
			t.output += e.Output
		case "skip", "pass", "fail":
			if !isSub {
				t.action = e.Action
			} else if e.Action == "skip" && sub != "" {
				t.skipped++
			}
			failed[e.Package] = failed[e.Package] || e.Action == "fail"
		}
	}
	byRow = map[string][]test{}
	for _, k := range order {
		for _, id := range idsOf(k.name) {
			byRow[id] = append(byRow[id], *found[k])
		}
	}
	return byRow, broken, s.Err()
}

var (
	named = regexp.MustCompile(`^Test((?:[A-Z][0-9]{2})+)(?:[^0-9]|$)`)
	oneID = regexp.MustCompile(`[A-Z][0-9]{2}`)
)

// idsOf returns the rows that a test's name begins with.
func idsOf(name string) []string {
	m := named.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	return oneID.FindAllString(m[1], -1)
}

// show prints the table, the output of tests that did not pass, and the broken packages. It reports whether every row passed and no
// package is broken.
func show(w io.Writer, rows []row, results map[string][]test, broken []string) bool {
	passed := 0
	var trouble []test
	for _, r := range rows {
		result := "pass"
		var names []string
		for _, t := range results[r.id] {
			text := t.String()
			if t.skipped > 0 {
				text += fmt.Sprintf(" (%d parts skipped)", t.skipped)
			}
			if t.action != "pass" {
				if t.action == "" {
					t.action = "fail" // the process ended in this test
				}
				result = worse(result, t.action)
				trouble = append(trouble, t)
				text += ": " + t.action
			}
			names = append(names, text)
		}
		if len(names) == 0 {
			result, names = "missing", []string{"no test"}
		}
		if result == "pass" {
			passed++
		}
		fmt.Fprintf(w, "%s  %-7s  %s\n              %s\n", r.id, result, r.what, strings.Join(names, ", "))
	}
	for _, t := range trouble {
		fmt.Fprintf(w, "\n%s\n%s", t, t.output)
	}
	for _, p := range broken {
		fmt.Fprintf(w, "\n%s: the package does not build, or its process ended; go test %[1]s shows why\n", p)
	}
	fmt.Fprintf(w, "\n%d of %d rows pass\n", passed, len(rows))
	return passed == len(rows) && len(broken) == 0
}

// worse returns the worse of two results.
func worse(a, b string) string {
	order := []string{"pass", "skip", "fail"}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}
