package main

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/models"
)

// traits are the properties in which families of decoders differ.
type traits struct {
	KVHeads   int                 `json:"kv_heads"` // heads of keys and values
	Norm      models.NormKind     `json:"norm"`     // of the norm before the unembedding; "" if it was not recognised
	Positions models.PositionKind `json:"positions"`
	SoftCap   float64             `json:"soft_cap"`             // of the logits; 0 for none
	AfterWO   string              `json:"after_w_o,omitempty"`  // what follows W_O before the stream: "norm", "factor", or "" for nothing
	ModelType string              `json:"model_type,omitempty"` // as config.json says
}

func traitsOf(o *opened, l *models.Layout) traits {
	t := traits{KVHeads: l.KVHeads, Positions: l.PositionKind, SoftCap: l.SoftCap}
	if n := l.Bodies[0].Norm; n != nil {
		t.Norm = n.Kind
	}
	for _, x := range l.Bodies[0].Layers {
		switch {
		case x.PostNorm != nil:
			t.AfterWO = "norm"
		case x.Scaled:
			t.AfterWO = "factor"
		}
	}
	if o.Folder.Config != nil {
		t.ModelType = o.Folder.Config.ModelType
	}
	return t
}

// headsText describes the heads: their number, their width, and how many have keys and values of their own.
func (d *description) headsText() string {
	s := fmt.Sprintf("%d of d_head %d", d.Heads, d.DHead)
	if 0 < d.KVHeads && d.KVHeads < d.Heads {
		s += fmt.Sprintf(", %d of keys and values", d.KVHeads)
	}
	return s
}

// positionsText describes the kind of positions.
func (t traits) positionsText() string {
	if t.Positions == models.NoPositions {
		return "none that was recognised"
	}
	return string(t.Positions)
}

// rare lists the properties that few files have.
func (d *description) rare() [][]span {
	var rows [][]span
	if d.SoftCap != 0 {
		rows = append(rows, []span{text("soft cap"), text("%g, of the logits", d.SoftCap)})
	}
	if d.ModelType != "" {
		rows = append(rows, []span{text("model_type"), text("%s (config.json)", d.ModelType)})
	}
	return rows
}
