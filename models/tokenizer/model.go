package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// A model converts one piece to ids by merging: byte-pair encoding over the characters of the piece.
type model struct {
	vocab   map[string]int64 // by spelling
	units   map[rune]int32   // the tokens of one character
	low     [maxSymbol]int32 // the same for the characters that represent bytes, and ASCII; -1 for none
	merges  map[uint64]merge // by pair
	bytes   *[256]int32      // the tokens <0x00> to <0xFF>, -1 for none, for characters without a token; nil without byte fallback
	unknown int32            // the token for a character without any token; -1 for none
	fuse    bool             // consecutive unknown characters become one token
	whole   bool             // a piece that is a token becomes that token, regardless of the merges
}

// maxSymbol is above every character that represents a byte.
const maxSymbol = 0x144

// byteToken returns the spelling of the token of one byte, for tokenizers with byte fallback.
func byteToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// appendPiece appends the ids of one piece.
func (m *model) appendPiece(dst []int64, s string) []int64 {
	if m.whole {
		if id, ok := m.vocab[s]; ok {
			return append(dst, id)
		}
	}
	var small [short]int32
	for _, id := range m.merge(m.start(small[:0], s)) {
		dst = append(dst, int64(id))
	}
	return dst
}

// start appends the initial tokens for merging, one for each character or byte.
func (m *model) start(ids []int32, s string) []int32 {
	unknown := false // a character without a token is pending
	flush := func() {
		if unknown {
			ids, unknown = append(ids, m.unknown), false
		}
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		char := s[i : i+n]
		i += n
		id, ok := m.unit(r)
		if ok = ok && (r != utf8.RuneError || n > 1); ok {
			flush()
			ids = append(ids, id)
			continue
		}
		if all := m.fallBack(ids, char); len(all) > len(ids) {
			ids = all // before a pending unknown token, as in Hugging Face's tokenizers
			continue
		}
		if m.unknown >= 0 {
			if !m.fuse {
				flush()
			}
			unknown = true
		}
	}
	flush()
	return ids
}

// fallBack appends the tokens of the bytes of a character. It appends nothing unless every byte has a token.
func (m *model) fallBack(ids []int32, char string) []int32 {
	out := ids
	for i := range len(char) {
		if m.bytes == nil || m.bytes[char[i]] < 0 {
			return ids
		}
		out = append(out, m.bytes[char[i]])
	}
	return out
}

func (m *model) unit(r rune) (int32, bool) {
	if r < maxSymbol {
		return m.low[r], m.low[r] >= 0
	}
	id, ok := m.units[r]
	return id, ok
}

// newModel checks vocabulary and merges against each other. The ids are already in range.
func newModel(s *spec) (model, error) {
	m := model{
		vocab: s.vocab, units: map[rune]int32{}, merges: make(map[uint64]merge, len(s.merges)),
		unknown: -1, fuse: s.fuse, whole: s.whole,
	}
	for r := range m.low {
		m.low[r] = -1
	}
	for spelling, id := range s.vocab {
		if r, n := utf8.DecodeRuneInString(spelling); n > 0 && n == len(spelling) {
			m.units[r] = int32(id)
			if r < maxSymbol {
				m.low[r] = int32(id)
			}
		}
	}
	if s.bytes {
		// Real vocabularies lack some control characters and the bytes that never occur in UTF-8 (SmolLM2). They give no ids, as
		// in Hugging Face's tokenizers. A vocabulary without all of printable ASCII is not byte-level.
		for b, r := range symbols {
			if printable := b >= 0x20 && b < 0x7f; printable && m.low[r] < 0 {
				return m, fmt.Errorf("no token for byte 0x%02x, written %q", b, r)
			}
		}
	}
	if s.fallback {
		m.bytes = new([256]int32)
		for b := range m.bytes {
			id, ok := m.vocab[byteToken(byte(b))]
			if !ok {
				id = -1
			}
			m.bytes[b] = int32(id)
		}
	}
	if s.unknown != "" {
		id, ok := m.vocab[s.unknown]
		if !ok {
			return m, fmt.Errorf("unk_token %q is not in the vocabulary", s.unknown)
		}
		m.unknown = int32(id)
	}
	for rank, pairOf := range s.merges {
		var ids [3]int32
		for i, spelling := range []string{pairOf[0], pairOf[1], pairOf[0] + pairOf[1]} {
			id, ok := m.vocab[spelling]
			if !ok {
				return m, fmt.Errorf("merge %d, %q with %q: %q is not in the vocabulary", rank, pairOf[0], pairOf[1], spelling)
			}
			ids[i] = int32(id)
		}
		m.merges[pair(ids[0], ids[1])] = packMerge(rank, int(ids[2]))
	}
	return m, nil
}
