package main

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed licences.txt
var licencesFile string

// readLicences returns the SPDX expression of each module.
func readLicences(text string) (map[string]string, error) {
	out := map[string]string{}
	s := bufio.NewScanner(strings.NewReader(text))
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		module, expression, _ := strings.Cut(line, " ")
		if expression = strings.TrimSpace(expression); expression == "" || out[module] != "" {
			return nil, fmt.Errorf("licences.txt line %d: want one line for each module, with its licence, got %q", n, line)
		}
		out[module] = expression
	}
	return out, nil
}

// phrases are words that only the text of a licence has. BSD-2-Clause is BSD-3-Clause without its third clause.
var phrases = map[string]struct{ want, not string }{
	"Apache-2.0":       {want: `Apache License,?\s+Version 2\.0`},
	"BSD-2-Clause":     {want: `Redistributions of source code must retain`, not: `Neither the name`},
	"BSD-3-Clause":     {want: `(?s)Redistributions of source code must retain.*Neither the name`},
	"CC-BY-4.0":        {want: `Creative Commons Attribution\s+4\.0 International Public License`},
	"FTL":              {want: `The FreeType License`},
	"ISC":              {want: `(?s)Permission to use, copy, modify, and/or distribute this software for any purpose\s+with or without fee is hereby granted.*THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS`},
	"GPL-2.0-or-later": {want: `version 2 or later`},
	"MIT":              {want: `Permission is hereby granted, free of charge, to any person obtaining a copy`},
	"OFL-1.1":          {want: `SIL OPEN FONT LICENSE Version 1\.1`},
}

var operators = regexp.MustCompile(` (?:AND|OR|WITH) `)

// texts returns the files of a module that hold its licences and notices, sorted.
func (m linked) texts() ([]string, error) {
	var out []string
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "NOTICE*", "PATENTS*", "licenses/*"} {
		found, err := filepath.Glob(filepath.Join(m.Dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
				out = append(out, f)
			}
		}
	}
	slices.Sort(out)
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no file with a licence in %s", m.Path, m.Dir)
	}
	return out, nil
}

// checkLicences compares the list with the linked modules and with the texts that they carry.
func checkLicences(list map[string]string, modules []linked) error {
	var errs []error
	seen := map[string]bool{}
	for _, m := range modules {
		seen[m.Path] = true
		expression := list[m.Path]
		if expression == "" {
			errs = append(errs, fmt.Errorf("%s is linked into the program: read its licence and add a line to scripts/supply/licences.txt", m.Path))
			continue
		}
		files, err := m.texts()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var text strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			text.Write(b)
		}
		for _, id := range operators.Split(expression, -1) {
			p, known := phrases[id]
			switch {
			case !known:
				errs = append(errs, fmt.Errorf("%s: licence %q: add a phrase of its text to scripts/supply/licences.go", m.Path, id))
			case !regexp.MustCompile(p.want).MatchString(text.String()), p.not != "" && regexp.MustCompile(p.not).MatchString(text.String()):
				errs = append(errs, fmt.Errorf("%s %s: the files %q do not hold the licence %s", m.Path, m.Version, files, id))
			}
		}
	}
	for module := range list {
		if !seen[module] {
			errs = append(errs, fmt.Errorf("%s is no longer linked into the program: remove its line from scripts/supply/licences.txt", module))
		}
	}
	return errors.Join(errs...)
}

// writeLicences writes what must accompany the program: the list, then the texts.
func writeLicences(w io.Writer, list map[string]string, modules []linked) error {
	fmt.Fprintf(w, "onnx-inject contains these modules. Their licences follow.\n\n")
	for _, m := range modules {
		fmt.Fprintf(w, "%-36s %-40s %s\n", m.Path, m.Version, list[m.Path])
	}
	for _, m := range modules {
		files, err := m.texts()
		if err != nil {
			return err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(m.Dir, f)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "\n==== %s %s: %s\n\n%s\n", m.Path, m.Version, filepath.ToSlash(rel), strings.TrimSpace(string(b)))
		}
	}
	return nil
}
