package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/models"
)

// print prints a description as text: the facts, a picture of one block, and the sites that can be reached in it.
func (d *description) print(p *printer) {
	p.line(styled(bold, "%s", d.File))
	facts := [][]span{
		{text("family"), text("%s (%s)", d.Family, d.Exporter)},
		{text("layers"), text("%d", d.Layers)},
		{text("heads"), text("%s", d.headsText())},
		{text("d_model"), text("%d", d.DModel)},
		{text("norm"), text("%s", cmp.Or(string(d.Norm), "not recognised"))},
		{text("positions"), text("%s", d.positionsText())},
		{text("vocabulary"), text("%s", orUnknown(d.Vocab, "tokens", "none: the file ends in hidden states"))},
		{text("context"), text("%s", orUnknown(d.NCtx, "positions", "unknown: the file does not say"))},
		{text("graph"), text("%d nodes, opset %d", d.Nodes, d.Opset)},
		{text("weights"), text("%s", d.Weights)},
	}
	facts = append(facts, d.rare()...)
	if d.Merged {
		facts = append(facts, []span{text("merged"), text("an If chooses between a decoder with a cache and one without; both get every port")})
	}
	switch {
	case d.Tokenizer != "":
		facts = append(facts, []span{text("tokenizer"), text("%s", d.Tokenizer)})
	default:
		facts = append(facts, []span{text("tokenizer"), styled(dim, "none in the folder: run and encode need one")})
	}
	if len(d.Others) > 0 {
		facts = append(facts, []span{text("not chosen"), text("%s", strings.Join(d.Others, ", "))})
	}
	for _, w := range d.Warnings {
		facts = append(facts, []span{text("warning"), styled(red, "%s", w)})
	}
	for _, b := range d.Baked {
		facts = append(facts, []span{text("baked"), styled(green, "%s at %s, tau %v", memoryName(b.Text), bakedAt(b), b.Tau)})
	}
	p.table(facts)
	p.line()
	d.picture(p)
	p.line()
	d.printSites(p)
	d.printPorts(p)
	p.line(styled(bold, "inputs"))
	d.printSignatures(p, d.Inputs)
	p.line(styled(bold, "outputs"))
	d.printSignatures(p, d.Outputs)
	if d.Why != nil {
		printWhy(p, d.Why)
	}
}

func orUnknown(n int, unit, unknown string) string {
	if n == 0 {
		return unknown
	}
	return fmt.Sprintf("%d %s", n, unit)
}

func memoryName(text string) string {
	if text == "" {
		return "a vector"
	}
	return quote(text)
}

// bakedAt describes the place of a memory in the file; the default site is not named.
func bakedAt(b models.Baked) string {
	at := b.At()
	s := fmt.Sprintf("layer %d", at.Layer)
	if at.Site != models.DefaultSite {
		s = fmt.Sprintf("%s of layer %d", at.Site, at.Layer)
	}
	if b.Phrase != "" {
		s += ", for the last token of " + quote(b.Phrase)
	}
	return s
}

func (w weightsInfo) String() string {
	if len(w.Files) == 0 {
		return "none that are large"
	}
	var where []string
	for _, f := range w.Files {
		if f.Model {
			where = append(where, "in the file itself")
		} else {
			where = append(where, "in "+quote(f.Path))
		}
	}
	return size(w.Bytes) + " " + strings.Join(where, " and ")
}

func (d *description) printPorts(p *printer) {
	if len(d.Ports) == 0 {
		return
	}
	p.line(styled(bold, "ports"))
	p.table(portRows(d.Ports))
}

// portRows describes ports, with one row for all ports of one kind and site: a model of 48 layers has hundreds of ports.
func portRows(ports []models.ManifestPort) [][]span {
	type class struct{ kind, site models.PortKind }
	layers := map[class][]int{}
	for _, p := range ports {
		c := class{p.Kind, p.Site}
		layers[c] = append(layers[c], p.Layer)
	}
	var rows [][]span
	for _, p := range ports {
		c := class{p.Kind, p.Site}
		if layers[c] == nil {
			continue // it has a row
		}
		slices.Sort(layers[c])
		name := strings.Replace(p.Name, "."+strconv.Itoa(p.Layer)+".", ".{"+layerList(layers[c])+"}.", 1)
		rows = append(rows, []span{text("%s", p.IO), styled(green, "%s", name), text("%s %s", p.DType, shape(p.Shape))})
		layers[c] = nil
	}
	return rows
}

func (d *description) printSignatures(p *printer, list []signature) {
	var rows [][]span
	for _, s := range list {
		if slices.ContainsFunc(d.Ports, func(p models.ManifestPort) bool { return p.Name == s.Name }) {
			continue
		}
		rows = append(rows, []span{text("%s", s.Name), text("%s %s", s.DType, shape(s.Shape))})
	}
	p.table(rows)
}

// shape writes dimensions as text: "[batch, pos, 768]". A size that the file leaves open is "?".
func shape(dims []any) string {
	var out []string
	for _, d := range dims {
		if d == nil {
			d = "?"
		}
		if f, ok := d.(float64); ok { // from JSON
			d = int64(f)
		}
		out = append(out, fmt.Sprint(d))
	}
	return "[" + strings.Join(out, ", ") + "]"
}
