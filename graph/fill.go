package graph

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
)

// plan describes a file to be written: literal bytes and spans of other files, in order.
type plan struct {
	parts []part
	size  int64
}

// part is either literal bytes of the skeleton or a span.
type part struct {
	lit  []byte
	span *Span
}

func (p *plan) literal(b []byte) {
	if len(b) > 0 {
		p.parts, p.size = append(p.parts, part{lit: b}), p.size+int64(len(b))
	}
}

func (p *plan) append(q *plan) {
	p.parts, p.size = append(p.parts, q.parts...), p.size+q.size
}

func (p *plan) writeTo(ctx context.Context, w io.Writer) error {
	var from copier
	defer from.close()
	lits := bufio.NewWriterSize(w, 64<<10)
	for _, x := range p.parts {
		if x.span == nil {
			lits.Write(x.lit) // Flush returns any error
			continue
		}
		if err := lits.Flush(); err != nil {
			return err
		}
		if err := from.copy(ctx, w, *x.span); err != nil {
			return err
		}
	}
	return lits.Flush()
}

// filler fills the holes of a skeleton.
type filler struct {
	holes []hole
	// place decides where the bytes of a hole are stored: in the file itself (external false), or at an offset of the file
	// named location, relative to the new model's folder.
	place func(h hole) (location string, offset int64, external bool, err error)
}

// holeTag begins every hole.
var holeTag = protowire.AppendTag(nil, holeField, protowire.VarintType)

// mayHaveHoles reports whether a message can contain a hole. Most nodes cannot, and are not decoded.
func mayHaveHoles(b []byte) bool { return bytes.Contains(b, holeTag) }

// message fills the holes of one message.
func (f *filler) message(k kind, b []byte) (*plan, error) {
	p := &plan{}
	from := 0 // b[from:at] is literal bytes not yet in the plan
	moved, err := f.moves(k, b)
	if err != nil {
		return nil, err
	}
	for at := 0; at < len(b); {
		num, typ, n := protowire.ConsumeTag(b[at:])
		m := protowire.ConsumeFieldValue(num, typ, b[at+n:])
		if n < 0 || m < 0 {
			return nil, fmt.Errorf("broken skeleton")
		}
		next := at + n + m
		switch child := k.field(num).child; {
		case k == kTensor && num == holeField:
			i, _ := protowire.ConsumeVarint(b[at+n:])
			p.literal(b[from:at])
			if h := f.holes[i]; h.field != 14 || !moved {
				if err := f.hole(p, h); err != nil {
					return nil, err
				}
			}
			from = next
		case child.holdsTensors() && typ == protowire.BytesType:
			body, _ := protowire.ConsumeBytes(b[at+n:])
			if !mayHaveHoles(body) {
				break // literal
			}
			sub, err := f.message(child, body)
			if err != nil {
				return nil, err
			}
			if sub.size == int64(len(body)) && len(sub.parts) <= 1 {
				break // no holes below: literal
			}
			p.literal(b[from:at])
			p.literal(protowire.AppendVarint(protowire.AppendTag(nil, num, typ), uint64(sub.size)))
			p.append(sub)
			from = next
		}
		at = next
	}
	p.literal(b[from:])
	return p, nil
}

// moves reports whether the message is a tensor whose payload will be in another file. Then an explicit data_location of 0
// in the original is dropped, because it would contradict the reference.
func (f *filler) moves(k kind, b []byte) (bool, error) {
	if k != kTensor {
		return false, nil
	}
	moved := false
	err := fields(b, func(num protowire.Number, _, body []byte) error {
		if num != holeField {
			return nil
		}
		i, _ := protowire.ConsumeVarint(body)
		h := f.holes[i]
		if !h.external() {
			return nil
		}
		_, _, ext, err := f.place(h)
		moved = moved || ext
		return err
	})
	return moved, err
}

// external reports whether the payload may be in another file: it must be the tensor's dense bytes.
func (h hole) external() bool { return h.field == 13 || h.field == 9 || h.field == 4 || h.field == 10 }

// hole writes one payload, inline or as a reference.
func (f *filler) hole(p *plan, h hole) error {
	if h.field == 14 { // a lone data_location, no payload
		p.literal(h.original)
		return nil
	}
	if h.external() {
		location, offset, ext, err := f.place(h)
		if err != nil {
			return err
		}
		if ext {
			if err := checkLocation(filepath.ToSlash(location)); err != nil {
				return err // no reader would accept it
			}
			if h.field == 13 && location == h.location && offset == h.span.Offset {
				p.literal(h.original)
				return nil
			}
			p.literal(externalRecords(filepath.ToSlash(location), offset, h.span.Length))
			return nil
		}
	}
	field := h.field
	if field == 13 {
		field = 9
	}
	p.literal(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.BytesType), uint64(h.span.Length)))
	span := h.span
	p.parts, p.size = append(p.parts, part{span: &span}), p.size+span.Length
	return nil
}
