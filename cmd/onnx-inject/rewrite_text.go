package main

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// rewritten is what rewrite did, as it is printed as JSON.
type rewritten struct {
	*graph.Saved
	WeightsWhy  string                `json:"weights_why"`
	NodesBefore int                   `json:"nodes_before"`
	NodesAfter  int                   `json:"nodes_after"`
	Ports       []models.ManifestPort `json:"ports"`    // added now; the manifest has those of earlier rewrites too
	Manifest    *models.Manifest      `json:"manifest"` // as it stands in the file
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
		rows = append(rows, []span{text(""), styled(dim, "keep it in this folder, with the files it was made from")})
	case graph.Copy:
		if r.Data != "" {
			rows = append(rows, []span{text(""), styled(dim, "in %s; keep both files together", r.Data)})
		}
	}
	for _, path := range r.Removed {
		rows = append(rows, []span{text("removed"), text("%s, which only the file that was replaced read", path)})
	}
	for _, b := range r.Manifest.Baked {
		rows = append(rows, []span{text("baked"), styled(green, "%s at layer %d, tau %v", memoryName(b.Text), b.Layer, b.Tau)})
	}
	p.table(rows)
	if len(r.Ports) == 0 {
		return
	}
	p.line(styled(bold, "ports"), text(" %d added", len(r.Ports)))
	rows = nil
	layers := map[models.PortKind][]int{}
	for _, port := range r.Ports {
		layers[port.Kind] = append(layers[port.Kind], port.Layer)
	}
	for _, port := range r.Ports {
		if port.Layer == layers[port.Kind][0] {
			rows = append(rows, portRow(port, layers[port.Kind]))
		}
	}
	p.table(rows)
}

// added are the ports that a request brought: the last of the manifest.
func added(man *models.Manifest, req rewrite.Request) []models.ManifestPort {
	n := 2 * len(req.Inject)
	for _, x := range req.Expose {
		n += len(x.Layers)
	}
	return man.Ports[len(man.Ports)-n:]
}

// weightsWhy says why a mode was taken.
func weightsWhy(asked, taken graph.Weights) string {
	switch {
	case asked != graph.Auto:
		return "as asked"
	case taken == graph.Ref:
		return "the copy lies in the folder of the weights"
	case taken == graph.Embed:
		return "the copy lies in another folder than the weights, which are under 1 GiB"
	}
	return "the copy lies in another folder than the weights, which are 1 GiB or more"
}

func countNodes(m *graph.Model) int {
	n := 0
	for g := range m.Graphs() {
		n += len(g.Nodes())
	}
	return n
}
