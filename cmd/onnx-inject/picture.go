package main

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/onnx-inject/onnx-inject/models"
)

// The two kinds of blocks. "@" is replaced by the mark of the name that follows. A name with pluses is replaced by the place where
// the site's memory is added; the pluses make both equally wide.
const (
	sequential = `
   @ resid_pre
   │
   ├─ ln_1 ─── heads ──┬── W_O ──┬── @ out ── @ attn_out ──(+)────────┐
   │             │     │         │                          │         │
   │     @ pattern    @ z      @ result              @ attn_out++++   │
  (+)─────────────────────────────────────────────────────────────────┘
   │
   @ resid_mid
   │
   ├─ ln_2 ─── MLP ────────────────────────── @ mlp_out ───(+)────────┐
   │                                                        │         │
   │                                                 @ mlp_out+++++   │
  (+)─────────────────────────────────────────────────────────────────┘
   │
   @ resid_post`
	parallel = `
   @ resid_pre
   │
   ├─ ln_1 ─┬──── heads ──┬── W_O ──┬── @ out ── @ attn_out ──(+)────────┐
   │        │       │     │         │                          │         │
   │        │ @ pattern  @ z      @ result              @ attn_out++++   │
   │        │                                                            │
   │        └─── MLP ─────────────────────────── @ mlp_out ───(+)────────┤
   │                                                           │         │
   │                                                    @ mlp_out+++++   │
  (+)────────────────────────────────────────────────────────────────────┘
   │
   @ resid_post`
)

var marked = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`@ ([a-z_]+)(\+*)`) })

// picture draws one block with its sites.
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
			label, style := d.mark(models.PortKind(name))
			if m[4] < m[5] {
				label, style = d.injectMark(models.PortKind(name))
				name = "tau × memory"
			}
			spans = append(spans, styled(dim, "%s", line[at:m[0]]), styled(style, "%s %s", label, name))
			at = m[1]
		}
		p.line(append(spans, styled(dim, "%s", line[at:]))...)
	}
	p.line()
	p.line(text("   "), styled(green, "● port"), text("   ○ available   "), styled(red, "× not in this file"))
}

// mark returns the mark of an output: a port, available, or not in this file.
func (d *description) mark(kind models.PortKind) (label, style string) {
	is := func(p models.ManifestPort) bool { return p.Kind == kind && p.IO == "out" }
	return markOf(slices.ContainsFunc(d.Ports, is), d.Sites, kind)
}

// injectMark returns the mark of a site that can be changed: it has ports or a baked memory, is available, or is not in this file.
func (d *description) injectMark(site models.PortKind) (label, style string) {
	is := func(p models.ManifestPort) bool { port, ok := p.Port(); return ok && port.Site == site }
	baked := func(b models.Baked) bool { return b.At().Site == site }
	return markOf(slices.ContainsFunc(d.Ports, is) || slices.ContainsFunc(d.Baked, baked), d.Inject, site)
}

func markOf(has bool, sites []siteInfo, kind models.PortKind) (label, style string) {
	i := slices.IndexFunc(sites, func(s siteInfo) bool { return s.Kind == kind })
	switch {
	case has:
		return "●", green
	case i >= 0 && len(sites[i].Layers) == 0:
		return "×", red
	}
	return "○", ""
}
