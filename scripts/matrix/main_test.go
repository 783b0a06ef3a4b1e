package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fake is a run of two packages: one with tests of several rows, and one that does not build.
const fake = `{"Action":"start","Package":"m/graph"}
{"Action":"run","Package":"m/graph","Test":"TestA01A02Files"}
{"Action":"output","Package":"m/graph","Test":"TestA01A02Files","Output":"=== RUN\n"}
{"Action":"run","Package":"m/graph","Test":"TestA01A02Files/fifo"}
{"Action":"skip","Package":"m/graph","Test":"TestA01A02Files/fifo"}
{"Action":"pass","Package":"m/graph","Test":"TestA01A02Files"}
{"Action":"run","Package":"m/graph","Test":"TestA03Wire"}
{"Action":"output","Package":"m/graph","Test":"TestA03Wire","Output":"want 3, got 4\n"}
{"Action":"fail","Package":"m/graph","Test":"TestA03Wire/length"}
{"Action":"fail","Package":"m/graph","Test":"TestA03Wire"}
{"Action":"fail","Package":"m/graph"}
{"Action":"skip","Package":"m/rewrite","Test":"TestA04Twice"}
{"Action":"pass","Package":"m/rewrite","Test":"TestA04More"}
{"Action":"run","Package":"m/rewrite","Test":"TestA05Killed"}
{"Action":"fail","Package":"m/rewrite"}
`

func TestTable(t *testing.T) {
	results, broken, err := read(strings.NewReader(fake))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"m/rewrite"}, broken); d != "" {
		t.Errorf("packages without a failing test that failed: %s", d)
	}
	fakeRows := []row{{"A01", "files."}, {"A02", "cut."}, {"A03", "wire."}, {"A04", "twice."}, {"A05", "deep."}, {"A06", "functions."}}
	var b strings.Builder
	if show(&b, fakeRows, results, broken) {
		t.Error("a table with trouble passes")
	}
	want := `A01  pass     files.
              graph.TestA01A02Files (1 parts skipped)
A02  pass     cut.
              graph.TestA01A02Files (1 parts skipped)
A03  fail     wire.
              graph.TestA03Wire: fail
A04  skip     twice.
              rewrite.TestA04Twice: skip, rewrite.TestA04More
A05  fail     deep.
              rewrite.TestA05Killed: fail
A06  missing  functions.
              no test

graph.TestA03Wire
want 3, got 4

rewrite.TestA04Twice

rewrite.TestA05Killed

m/rewrite: the package does not build, or its process ended; go test m/rewrite shows why

2 of 6 rows pass
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("table (-want +got):\n%s", d)
	}
	if !show(&b, fakeRows[:2], results, nil) {
		t.Error("a table without trouble fails")
	}
	if show(&b, fakeRows[:2], results, broken) {
		t.Error("a table passes although a package is broken")
	}
}

func TestReadNoEvents(t *testing.T) {
	if _, _, err := read(strings.NewReader("no such tool\n")); err == nil || !strings.Contains(err.Error(), "no such tool") {
		t.Errorf("got %v", err)
	}
}

func TestIDs(t *testing.T) {
	for name, want := range map[string][]string{
		"TestA05Nesting": {"A05"}, "TestD01D03Kill": {"D01", "D03"}, "TestS01": {"S01"}, "TestA05_x": {"A05"},
		"TestA051": nil, "TestAll": nil, "Testa05": nil, "TestXA05": nil,
	} {
		if d := cmp.Diff(want, idsOf(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestChoose(t *testing.T) {
	got, err := choose(rows, []string{"S", "A05", "S01"})
	if err != nil || len(got) != 8 || got[0].id != "S01" || got[7].id != "A05" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := choose(rows, []string{"Z"}); err == nil || err.Error() != `row "Z": want a row or the beginning of one, such as A05 or S` {
		t.Errorf("got %v", err)
	}
}

// The rows are complete: no number is left out, none occurs twice.
func TestRows(t *testing.T) {
	last := map[byte]int{}
	for _, r := range rows {
		n := int(r.id[1]-'0')*10 + int(r.id[2]-'0')
		if len(r.id) != 3 || n != last[r.id[0]]+1 || !strings.HasSuffix(r.what, ".") {
			t.Errorf("row %q %q follows number %d", r.id, r.what, last[r.id[0]])
		}
		last[r.id[0]] = n
	}
	if d := cmp.Diff(map[byte]int{'A': 20, 'B': 8, 'C': 8, 'D': 11, 'E': 11, 'S': 7}, last); d != "" {
		t.Error(d)
	}
}
