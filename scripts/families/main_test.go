package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The README has the table that this command prints.
func TestReadme(t *testing.T) {
	var b bytes.Buffer
	if err := table(t.Context(), &b, "../../models/testdata"); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), b.String()) {
		t.Errorf("the table of families in README.md is out of date; this is what go run ./scripts/families prints:\n%s", b.String())
	}
}
