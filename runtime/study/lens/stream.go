package lens

import (
	"context"
	"strconv"

	"github.com/onnx-inject/onnx-inject/models"
)

// Stream is the residual stream of a prompt as words: at every layer and position, the tokens that would come next if the layers that
// follow added nothing. It is the logit lens (nostalgebraist, 2020): final norm, W_U, b_U and the soft cap, with the scale of the norm
// that the stream has at that place. The last row gives the model's own probabilities.
type Stream struct {
	Rows []StreamRow `json:"rows"` // the embedding, then the stream after each layer
}

// StreamRow is the stream at one layer.
type StreamRow struct {
	Hook  string       `json:"hook"`      // the port: resid_pre of layer 0, or resid_post
	Layer int          `json:"layer"`     // -1 for the embedding
	Cells []StreamCell `json:"positions"` // by position
}

// StreamCell is the stream at one layer and position.
type StreamCell struct {
	Top    []Token      `json:"top"`              // likeliest first
	Answer *MarkedToken `json:"answer,omitempty"` // nil without an answer
}

// Name is "embed", or the number of the layer.
func (r StreamRow) Name() string {
	if r.Layer < 0 {
		return "embed"
	}
	return strconv.Itoa(r.Layer)
}

// stream takes the residual stream through the rest of the model. answer is a token whose rank is reported at every place, or -1.
func (l *Lens) stream(ctx context.Context, s *sight, answer int64, top int) (*Stream, error) {
	asked := 0
	if answer >= 0 {
		asked = 1
	}
	p, err := openProduct(ctx, l.host, l.Layout, l.bias, l.Layout.SoftCap, top, asked, l.options.Runtime)
	if err != nil {
		return nil, err
	}
	defer p.session.Close()
	out := &Stream{Rows: []StreamRow{{Hook: models.PortResidPre.Name(0), Layer: -1}}}
	for i := range s.posts {
		out.Rows = append(out.Rows, StreamRow{Hook: models.PortResidPost.Name(i), Layer: i})
	}
	var rows []*row
	for _, x := range append([][]float32{s.embed}, s.posts...) {
		for pos := range s.pos {
			r := &row{x: l.ending.apply(x[pos*l.Layout.DModel:][:l.Layout.DModel])}
			if answer >= 0 {
				r.asked = []int64{answer}
			}
			rows = append(rows, r)
		}
	}
	for from := 0; from < len(rows); from += rowsAtOnce {
		if err := p.run(ctx, rows[from:min(from+rowsAtOnce, len(rows))]); err != nil {
			return nil, err
		}
	}
	for k, r := range rows {
		var c StreamCell
		for _, t := range r.top {
			c.Top = append(c.Top, Token{l.texts.Token(t.id), t.id, t.logit, t.logit - r.logZ})
		}
		if answer >= 0 {
			m := r.marks[0]
			c.Answer = &MarkedToken{Token{l.texts.Token(answer), answer, m.logit, m.logit - r.logZ}, m.rank}
		}
		at := &out.Rows[k/s.pos]
		at.Cells = append(at.Cells, c)
	}
	return out, nil
}
