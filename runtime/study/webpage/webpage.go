package webpage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"strings"
)

// Plot is the plotting library. It sets the global variable Plot.
//
//go:embed plot/plot.min.js
var Plot template.JS

// Common sets the global variable page: functions for the scripts of all pages. It makes tables with the class sortable sortable.
//
//go:embed common.js
var Common template.JS

// Style is the CSS of what Common adds to a page. It uses the variables --ink, --paper and --rule.
//
//go:embed common.css
var Style template.CSS

// Scripts are the scripts of a page, in the order in which they run.
type Scripts []template.JS

// Policy is the content policy of a page with these scripts, as the value of an attribute.
func (s Scripts) Policy() string {
	var sources strings.Builder
	for _, x := range s {
		sum := sha256.Sum256([]byte(x))
		sources.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	return "default-src 'none'; script-src" + sources.String() + "; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
}
