package graph

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Encoding writes every record as it was read unless its object has changed. New objects follow the last record of their
// kind, so that the order of fields in the file is preserved.

// encode returns the model's skeleton: its bytes, with the holes not yet filled.
func (m *Model) encode() []byte {
	recs := m.records
	last := lastOf(recs)
	size := 0
	for _, r := range recs {
		size += len(r.raw)
	}
	out := make([]byte, 0, size+size/4+1024) // edits usually add little
	opsets, metas := false, false
	for i, r := range recs {
		switch r.num {
		case 7:
			out = newEncoder(m).graph(out, 7, m.Graph)
		case 14:
			key, _, _ := parseEntry(recordBody(r.raw))
			if m.ownsMeta(r, key) {
				out = append(out, r.raw...)
			}
		case 25:
			if !m.inlined {
				out = append(out, r.raw...)
			}
		default:
			out = append(out, r.raw...)
		}
		if i == last[8] {
			out, opsets = m.appendOpsets(out), true
		}
		if i == last[14] {
			out, metas = m.appendMeta(out), true
		}
	}
	if !opsets {
		out = m.appendOpsets(out)
	}
	if !metas {
		out = m.appendMeta(out)
	}
	return out
}

// ownsMeta reports whether the record still matches the model's metadata.
func (m *Model) ownsMeta(r record, key string) bool {
	_, value, _ := parseEntry(recordBody(r.raw))
	return slices.Contains(m.meta, metaEntry{key, value})
}

func (m *Model) appendMeta(out []byte) []byte {
	for _, e := range m.meta {
		written := slices.ContainsFunc(m.records, func(r record) bool {
			if r.num != 14 {
				return false
			}
			key, value, _ := parseEntry(recordBody(r.raw))
			return key == e.key && value == e.value
		})
		if !written {
			out = appendMessage(out, 14, encodeEntry(e.key, e.value))
		}
	}
	return out
}

func encodeEntry(key, value string) []byte {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
	return protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), value)
}

// appendOpsets writes the imports that an edit added.
func (m *Model) appendOpsets(out []byte) []byte {
	for _, d := range m.newOps {
		b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), d)
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(m.opsets[d]))
		out = appendMessage(out, 8, b)
	}
	return out
}

func appendMessage(out []byte, num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, num, protowire.BytesType), body)
}

// lastOf returns the index of the last record of each field number below 32, or -1 for none.
func lastOf(recs []record) (last [32]int) {
	for num := range last {
		last[num] = -1
	}
	for i, r := range recs {
		if int(r.num) < len(last) {
			last[r.num] = i
		}
	}
	return last
}

// rename returns a message with its name, a string field, replaced and everything else unchanged.
func rename(body []byte, field protowire.Number, name string) []byte {
	var out []byte
	done := false
	_ = fields(body, func(num protowire.Number, raw, _ []byte) error {
		if num != field {
			out = append(out, raw...)
		} else if !done && name != "" {
			out, done = appendStrings(out, field, []string{name}), true
		}
		return nil
	})
	if !done && name != "" {
		out = appendStrings(out, field, []string{name})
	}
	return out
}
