package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// "make help" lists every target, and every script that a target runs exists.
func TestMakefile(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	help := string(output(t, root, nil, "make", "--silent", "help"))
	targets := regexp.MustCompile(`(?m)^([a-z][a-z-]*):(?:[^=]|$)`).FindAllStringSubmatch(string(b), -1)
	if len(targets) < 20 {
		t.Fatalf("found only %d targets", len(targets))
	}
	for _, m := range targets {
		if !regexp.MustCompile(`(?m)^` + m[1] + ` +\S+ \S+`).MatchString(help) {
			t.Errorf("target %s: make help does not describe it; add ## and a description", m[1])
		}
		if !strings.Contains(string(b), ".PHONY: "+m[1]+"\n") {
			t.Errorf("target %s: want a line .PHONY", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:\./)?(scripts/[A-Za-z/._-]+)`).FindAllStringSubmatch(string(b), -1) {
		st, err := os.Stat(filepath.Join(root, m[1]))
		if err != nil {
			t.Error(err)
		} else if !st.IsDir() && st.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable", m[1])
		}
	}
}
