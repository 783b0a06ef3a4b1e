package report

import (
	"cmp"
	"fmt"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// cell is one cell of the grid of a series.
type cell struct {
	op    intervention.Op // of the series; "" is add
	layer int
	head  results.Head
	tau   float64
}

// cellOf returns the cell of an effect.
func (s *series) cellOf(e stats.Effect) cell { return cell{s.Op, e.Layer, e.Head, e.Tau} }

// half returns the cell that half of the prompts choose.
func (s *series) half(h *stats.Held) cell { return cell{s.Op, h.Layer, h.Head, h.Tau} }

// String names the cell in words: "layer 7, tau 3", or "layer 7, head 2".
func (c cell) String() string {
	out := fmt.Sprintf("layer %d", c.layer)
	if h, one := c.head.Index(); one {
		out += fmt.Sprintf(", head %d", h)
	}
	if what := c.strength(); what != "" {
		out += ", " + what
	}
	return out
}

// strength names the tau of the cell where it can differ from cell to cell.
func (c cell) strength() string {
	switch {
	case c.op == intervention.Ablate || c.op == intervention.Replace && c.tau == 1:
		return ""
	case c.op == intervention.Scale:
		return "times " + short(c.tau)
	}
	return "tau " + short(c.tau)
}

// Brief names the cell in a table: "L7 τ3", or "L7H2".
func (c cell) Brief() string {
	out := fmt.Sprintf("L%d", c.layer)
	if h, one := c.head.Index(); one {
		out += fmt.Sprintf("H%d", h)
	}
	switch {
	case c.strength() == "":
		return out
	case c.op == intervention.Scale:
		return out + " ×" + short(c.tau)
	}
	return out + " τ" + short(c.tau)
}

func (c cell) slug() string { return slug(c.Brief()) }

func (c cell) compare(d cell) int {
	return cmp.Or(cmp.Compare(c.layer, d.layer), cmp.Compare(c.head, d.head), cmp.Compare(c.tau, d.tau))
}

// columns names the columns of the map of a series, and their axis.
func (s *series) columns() (axis string, labels []string) {
	axis = "tau"
	if s.Op == intervention.Scale {
		axis = "factor"
	}
	if s.Heads == nil {
		return axis, tauLabels(s.Taus)
	}
	for _, h := range s.Heads {
		for _, tau := range s.Taus {
			label := h.String()
			if len(s.Taus) > 1 {
				label += " ×" + short(tau)
			}
			labels = append(labels, label)
		}
	}
	return "head", labels
}
