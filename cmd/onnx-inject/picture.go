package main

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/onnx-inject/onnx-inject/models"
)

// A block of the two kinds that there are. "@" stands for the mark of the name behind it.
const (
	sequential = `
   @ resid_pre
   │
   ├─ ln_1 ─── heads ──┬── W_O ──┬── @ out ── @ attn_out ──(+)────────┐
   │             │     │         │                          │         │
   │     @ pattern    @ z      @ result              @ tau × memory   │
  (+)─────────────────────────────────────────────────────────────────┘
   │
   @ resid_mid
   │
   ├─ ln_2 ─── MLP ── @ mlp_out ──┐
  (+)─────────────────────────────┘
   │
   @ resid_post`
	parallel = `
   @ resid_pre
   │
   ├─ ln_1 ─┬──── heads ──┬── W_O ──┬── @ out ── @ attn_out ──(+)────────┐
   │        │       │     │         │                          │         │
   │        │ @ pattern  @ z      @ result              @ tau × memory   │
   │        │                                                            │
   │        └─── MLP ── @ mlp_out ───────────────────────────────────────┤
  (+)────────────────────────────────────────────────────────────────────┘
   │
   @ resid_post`
)

var marked = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`@ (tau × memory|[a-z_]+)`) })

// picture draws one block with what can be reached in it.
func (d *description) picture(p *printer) {
	art := sequential
	if d.Parallel {
		art = parallel
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(art, "\n"), "\n") {
		var spans []span
		at := 0
		for _, m := range marked().FindAllStringSubmatchIndex(line, -1) {
			name := line[m[2]:m[3]]
			kind := models.PortKind(name)
			if strings.HasSuffix(name, "memory") {
				kind = models.PortMemory
			}
			label, style := d.mark(kind)
			spans = append(spans, styled(dim, "%s", line[at:m[0]]), styled(style, "%s %s", label, name))
			at = m[1]
		}
		p.line(append(spans, styled(dim, "%s", line[at:]))...)
	}
	p.line()
	p.line(text("   "), styled(green, "● port"), text("   ○ can be one   "), styled(red, "× not in this file"))
}

// mark tells what a kind is in this file: a port (or, for the memory, part of it), a site, or nothing.
func (d *description) mark(kind models.PortKind) (label, style string) {
	if len(d.portLayers(kind)) > 0 || kind == models.PortMemory && len(d.Baked) > 0 {
		return "●", green
	}
	i := slices.IndexFunc(d.Sites, func(s siteInfo) bool { return s.Kind == kind })
	if i >= 0 && len(d.Sites[i].Layers) == 0 {
		return "×", red
	}
	return "○", ""
}
