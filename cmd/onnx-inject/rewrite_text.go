package main

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// rewritten is the JSON of rewrite.
type rewritten struct {
	*graph.Saved
	WeightsWhy  string                `json:"weights_why"`
	NodesBefore int                   `json:"nodes_before"`
	NodesAfter  int                   `json:"nodes_after"`
	Ports       []models.ManifestPort `json:"ports"`    // added now; the manifest also lists those of earlier rewrites
	Manifest    *models.Manifest      `json:"manifest"` // as stored in the file
}

func (r *rewritten) print(p *printer, from string) {
	p.line(styled(bold, "%s", r.Path), text(": %s", size(r.Bytes)))
	rows := [][]span{
		{text("from"), text("%s", from)},
		{text("nodes"), text("%d, %+d", r.NodesAfter, r.NodesAfter-r.NodesBefore)},
		{text("weights"), text("%s: %s", r.Weights, r.WeightsWhy)},
	}
	switch r.Weights {
	case graph.Ref:
		rows = append(rows, []span{text(""), styled(dim, "keep the copy in this folder, together with the original's files")})
	case graph.Copy:
		if r.Data != "" {
			rows = append(rows, []span{text(""), styled(dim, "in %s; keep both files together", r.Data)})
		}
	}
	for _, path := range r.Removed {
		rows = append(rows, []span{text("removed"), text("%s, which only the replaced file used", path)})
	}
	for _, b := range r.Manifest.Baked {
		rows = append(rows, []span{text("baked"), styled(green, "%s at %s, tau %v", memoryName(b.Text), bakedAt(b), b.Tau)})
	}
	p.table(rows)
	if len(r.Ports) == 0 {
		return
	}
	p.line(styled(bold, "ports"), text(" %d added", len(r.Ports)))
	p.table(portRows(r.Ports))
}

// weightsWhy explains why a mode was chosen.
func weightsWhy(asked, taken graph.Weights) string {
	switch {
	case asked != graph.Auto:
		return "as requested"
	case taken == graph.Ref:
		return "the copy is in the folder of the weights"
	case taken == graph.Embed:
		return "the copy is not in the folder of the weights, which are less than 1 GiB"
	}
	return "the copy is not in the folder of the weights, which are 1 GiB or more"
}

func countNodes(m *graph.Model) int {
	n := 0
	for g := range m.Graphs() {
		n += len(g.Nodes())
	}
	return n
}
