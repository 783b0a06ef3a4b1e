package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/models"
)

// siteInfo lists the layers at which a site can be reached, and why the other layers lack it.
type siteInfo struct {
	Kind    models.PortKind `json:"kind"`
	Doc     string          `json:"doc"`
	Layers  []int           `json:"layers"`
	Missing []missing       `json:"missing,omitempty"`
}

type missing struct {
	Layers []int  `json:"layers"`
	Why    string `json:"why"`
}

// operation is what can be done at a site: the name of its flag, and the sites that have it.
type operation struct {
	flag  string
	sites []siteInfo
	used  func(*description, models.PortKind) bool // it is done in this file
}

// operations lists what can be done. Operations that no site has are left out.
func (d *description) operations() []operation {
	all := []operation{
		{"expose", d.Sites, func(d *description, kind models.PortKind) bool {
			return slices.ContainsFunc(d.Ports, func(p models.ManifestPort) bool { return p.Kind == kind && p.IO == "out" })
		}},
		{"inject", d.Inject, func(d *description, site models.PortKind) bool { return d.changes(site, false) }},
		{"gate", d.Gate, func(d *description, site models.PortKind) bool { return d.changes(site, true) }},
	}
	return slices.DeleteFunc(all, func(o operation) bool { return len(o.sites) == 0 })
}

// changes reports whether the file has an input or a stored number that changes a site: keep if gate is set, else a memory.
func (d *description) changes(site models.PortKind, gate bool) bool {
	input := func(p models.ManifestPort) bool {
		port, ok := p.Port()
		return ok && port.Site == site && (p.Kind == models.PortKeep) == gate
	}
	stored := func(b models.Baked) bool {
		return b.At().Site == site && (gate && b.Keep != nil || !gate && (b.Keep == nil || b.Tau != 0))
	}
	return slices.ContainsFunc(d.Ports, input) || slices.ContainsFunc(d.Baked, stored)
}

// of returns the operation's entry of a site, or nil if the site does not have the operation.
func (o operation) of(kind models.PortKind) *siteInfo {
	i := slices.IndexFunc(o.sites, func(s siteInfo) bool { return s.Kind == kind })
	if i < 0 {
		return nil
	}
	return &o.sites[i]
}

// mark shows an operation at a site: done, available at all layers or at some, not possible in this file, or not offered.
func (o operation) mark(d *description, kind models.PortKind) span {
	s := o.of(kind)
	switch {
	case s == nil:
		return styled(dim, "·")
	case o.used(d, kind):
		return styled(green, "●")
	case len(s.Layers) == 0:
		return styled(red, "×")
	case len(s.Missing) > 0:
		return text("◐")
	}
	return text("○")
}

// sitesOf lists the kinds that can be exposed, in the order of the contract.
func sitesOf(l *models.Layout) []siteInfo {
	var out []siteInfo
	for _, kind := range models.Outputs() {
		out = append(out, siteOf(l, kind, kind.Output().Doc, func(x *models.Layer) string { return x.Missing[string(kind)] }))
	}
	return out
}

// changesOf lists the sites that have an input of a kind.
func changesOf(l *models.Layout, kind models.PortKind) []siteInfo {
	out := []siteInfo{}
	for _, site := range models.Sites() {
		x := site.Intervention()
		if slices.ContainsFunc(x.Inputs(), func(p models.Port) bool { return p.Kind == kind }) {
			out = append(out, siteOf(l, site, x.Doc, x.Missing))
		}
	}
	return out
}

// siteOf groups the layers by why they lack a site. In a merged file, both branches must have the site.
func siteOf(l *models.Layout, kind models.PortKind, doc string, why func(*models.Layer) string) siteInfo {
	s := siteInfo{Kind: kind, Doc: doc, Layers: []int{}}
	for i := range l.Layers {
		reason := ""
		for _, b := range l.Bodies {
			reason = cmp.Or(reason, why(b.Layers[i]))
		}
		if reason == "" {
			s.Layers = append(s.Layers, i)
			continue
		}
		at := slices.IndexFunc(s.Missing, func(m missing) bool { return m.Why == reason })
		if at < 0 {
			at = len(s.Missing)
			s.Missing = append(s.Missing, missing{Why: reason})
		}
		s.Missing[at].Layers = append(s.Missing[at].Layers, i)
	}
	return s
}

// kinds lists the names of all sites: those that can be exposed, followed by those that can only be changed.
func (d *description) kinds() []models.PortKind {
	var out []models.PortKind
	for _, o := range d.operations() {
		for _, s := range o.sites {
			if !slices.Contains(out, s.Kind) {
				out = append(out, s.Kind)
			}
		}
	}
	return out
}

// printSites lists for every site the layers at which each operation can be done. Reasons why an operation cannot be done follow
// the table.
func (d *description) printSites(p *printer) {
	operations := d.operations()
	head := []span{text("")}
	for _, o := range operations {
		head = append(head, styled(dim, "%s", o.flag))
	}
	rows := [][]span{head}
	var reasons [][]span
	for _, kind := range d.kinds() {
		row := []span{text("%s", kind)}
		doc := ""
		told := map[string]int{} // rows of reasons of this site
		for _, o := range operations {
			s := o.of(kind)
			if s == nil {
				row = append(row, o.mark(d, kind))
				continue
			}
			doc = cmp.Or(doc, s.Doc)
			m := o.mark(d, kind)
			row = append(row, styled(m.style, "%s %s", m.text, s.where(d.Layers)))
			if why := s.why(); why != "" {
				if i, ok := told[why]; ok {
					reasons[i][1].text += ", " + o.flag
				} else {
					told[why] = len(reasons)
					reasons = append(reasons, []span{text("%s", kind), styled(dim, "%s", o.flag), text("%s", why)})
				}
			}
		}
		rows = append(rows, append(row, text("%s", doc)))
	}
	p.line(styled(bold, "sites"))
	p.table(rows)
	if len(reasons) > 0 {
		p.line(styled(bold, "not available"))
		p.table(reasons)
	}
}

// where lists the layers that have the site.
func (s siteInfo) where(layers int) string {
	switch len(s.Layers) {
	case layers:
		return "all"
	case 0:
		return "none"
	}
	return layerList(s.Layers)
}

// why explains why layers lack the site, "" if none does.
func (s siteInfo) why() string {
	var why []string
	for _, m := range s.Missing {
		at := ""
		if len(s.Missing) > 1 || len(s.Layers) > 0 {
			at = "layers " + layerList(m.Layers) + ": "
			if len(m.Layers) == 1 {
				at = "layer " + layerList(m.Layers) + ": "
			}
		}
		why = append(why, at+m.Why)
	}
	return strings.Join(why, "; ")
}
