package main

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/onnx-inject/onnx-inject/models"
)

// The two kinds of blocks. "@@@ name" is a site, and its marks replace the @. "######" is replaced by what follows W_O. A site that
// is not drawn is still listed by printSites; a test requires that every site is drawn.
const (
	sequential = `
  @@@ resid_pre
   │
   ├─ ln_1 ─── heads ────┬── W_O ────┬── @@@ out ──######── @@@ attn_out ──┐
   │             │       │           │                                     │
   │    @@@ pattern   @@@ z     @@@ result                                 │
  (+)──────────────────────────────────────────────────────────────────────┘
   │
  @@@ resid_mid
   │
   ├─ ln_2 ─── MLP ──────────────────────────────────────── @@@ mlp_out ───┐
  (+)──────────────────────────────────────────────────────────────────────┘
   │
  @@@ resid_post`
	parallel = `
  @@@ resid_pre
   │
   ├─ ln_1 ─┬─── heads ────┬── W_O ────┬── @@@ out ──######── @@@ attn_out ──┐
   │        │      │       │           │                                     │
   │        │ @@@ pattern @@@ z   @@@ result                                 │
   │        │                                                                │
   │        └─── MLP ──────────────────────────────────────── @@@ mlp_out ───┤
  (+)────────────────────────────────────────────────────────────────────────┘
   │
  @@@ resid_post`
)

// afterWO draws what follows W_O.
var afterWO = map[string]string{"": "──────", "norm": " norm ", "factor": " × c ─"}

var marked = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`@@@ ([a-z_]+)`) })

// picture draws one block. Every site has a mark for each operation: expose, inject, gate.
func (d *description) picture(p *printer) {
	art := sequential
	if d.Parallel {
		art = parallel
	}
	art = strings.ReplaceAll(strings.TrimPrefix(art, "\n"), "######", afterWO[d.AfterWO])
	operations := d.operations()
	for line := range strings.SplitSeq(art, "\n") {
		var spans []span
		at := 0
		for _, m := range marked().FindAllStringSubmatchIndex(line, -1) {
			kind := models.PortKind(line[m[2]:m[3]])
			spans = append(spans, styled(dim, "%s", line[at:m[0]]))
			for _, o := range operations {
				spans = append(spans, o.mark(d, kind))
			}
			spans = append(spans, text("%s %s", strings.Repeat(" ", 3-len(operations)), kind))
			at = m[1]
		}
		p.line(append(spans, styled(dim, "%s", line[at:]))...)
	}
	var flags []string
	for _, o := range operations {
		flags = append(flags, o.flag)
	}
	p.line()
	p.line(text("   marks: %s", strings.Join(flags, ", ")))
	legend := []span{text("   "), styled(green, "● in this file"), text("   ○ available   ")}
	some := func(o operation) bool {
		return slices.ContainsFunc(o.sites, func(s siteInfo) bool { return len(s.Layers) > 0 && len(s.Missing) > 0 })
	}
	if slices.ContainsFunc(operations, some) {
		legend = append(legend, text("◐ at some layers   "))
	}
	p.line(append(legend, styled(red, "× not available"), styled(dim, "   · no such operation"))...)
}
