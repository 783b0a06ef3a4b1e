package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/models"
)

// print shows a description to people: the facts, a picture of one block, and what can be reached in it.
func (d *description) print(p *printer) {
	p.line(styled(bold, "%s", d.File))
	facts := [][]span{
		{text("family"), text("%s (%s)", d.Family, d.Exporter)},
		{text("layers"), text("%d", d.Layers)},
		{text("heads"), text("%d of d_head %d", d.Heads, d.DHead)},
		{text("d_model"), text("%d", d.DModel)},
		{text("vocabulary"), text("%s", orUnknown(d.Vocab, "tokens", "none: the file ends in hidden states"))},
		{text("context"), text("%s", orUnknown(d.NCtx, "positions", "the file does not tell"))},
		{text("graph"), text("%d nodes, opset %d", d.Nodes, d.Opset)},
		{text("weights"), text("%s", d.Weights)},
	}
	if d.Merged {
		facts = append(facts, []span{text("merged"), text("an If chooses between a decoder with a cache and one without; both get every port")})
	}
	switch {
	case d.Tokenizer != "":
		facts = append(facts, []span{text("tokenizer"), text("%s", d.Tokenizer)})
	default:
		facts = append(facts, []span{text("tokenizer"), styled(dim, "none beside the file: run and encode need one")})
	}
	if len(d.Others) > 0 {
		facts = append(facts, []span{text("not taken"), text("%s", strings.Join(d.Others, ", "))})
	}
	for _, w := range d.Warnings {
		facts = append(facts, []span{text("warning"), styled(red, "%s", w)})
	}
	for _, b := range d.Baked {
		facts = append(facts, []span{text("baked"), styled(green, "%s at layer %d, tau %v", memoryName(b.Text), b.Layer, b.Tau)})
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

func (d *description) printSites(p *printer) {
	p.line(styled(bold, "sites"))
	var rows [][]span
	for _, s := range d.Sites {
		label, style := d.mark(s.Kind)
		row := []span{styled(style, "%s %s", label, s.Kind)}
		switch {
		case len(s.Layers) == d.Layers:
			row = append(row, text("all"))
		case len(s.Layers) == 0:
			row = append(row, text("none"))
		default:
			row = append(row, text("%s", layerList(s.Layers)))
		}
		var why []string
		for _, m := range s.Missing {
			at := ""
			if len(s.Missing) > 1 || len(s.Layers) > 0 {
				at = "layers " + layerList(m.Layers) + ": "
			}
			why = append(why, at+m.Why)
		}
		if why == nil {
			why = []string{s.Doc}
		}
		rows = append(rows, append(row, text("%s", strings.Join(why, "; "))))
	}
	p.table(rows)
}

// printPorts lists the ports by kind: a model of 48 layers has hundreds.
func (d *description) printPorts(p *printer) {
	if len(d.Ports) == 0 {
		return
	}
	p.line(styled(bold, "ports"))
	var rows [][]span
	var done []models.PortKind
	for _, port := range d.Ports {
		if slices.Contains(done, port.Kind) {
			continue
		}
		done = append(done, port.Kind)
		rows = append(rows, portRow(port, d.portLayers(port.Kind)))
	}
	p.table(rows)
}

// portRow describes the ports of one kind.
func portRow(port models.ManifestPort, layers []int) []span {
	name := strings.Replace(port.Name, "."+strconv.Itoa(port.Layer)+".", ".{"+layerList(layers)+"}.", 1)
	return []span{text("%s", port.IO), styled(green, "%s", name), text("%s %s", port.DType, shape(port.Shape))}
}

func (d *description) portLayers(kind models.PortKind) []int {
	var out []int
	for _, p := range d.Ports {
		if p.Kind == kind {
			out = append(out, p.Layer)
		}
	}
	slices.Sort(out)
	return out
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

// shape writes dimensions for people: "[batch, pos, 768]", a size that the file leaves open as "?".
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
