package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Tokenizer turns text into ids and back. [Load] makes one.
type Tokenizer struct {
	tokens []string         // the bytes of each id, "" where an id is not used
	bytes  [256]int32       // the id of each single byte
	merges map[uint64]merge // by pair
	added  [256][]added     // by first byte, longest first
	prefix bool             // text that does not begin with a space gets one
	bos    int64            // -1 if there is none
}

// An added token is cut out of the text before anything else happens.
type added struct {
	text    string
	id      int64
	special bool
}

// Size returns one more than the highest id. A model may have more rows than that: embeddings are often padded.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// BOS returns the id of the token that begins a text, <|endoftext|> for GPT-2, and whether there is one.
// It is the first of these that the vocabulary has: bos_token in tokenizer_config.json, the same in special_tokens_map.json,
// bos_token_id in config.json, <|endoftext|>.
func (t *Tokenizer) BOS() (int64, bool) { return max(t.bos, 0), t.bos >= 0 }

// Bytes returns the bytes that id stands for, nil for an id outside the vocabulary. They need not be valid UTF-8: a character
// may be spread over several tokens.
func (t *Tokenizer) Bytes(id int64) []byte {
	if id < 0 || id >= int64(len(t.tokens)) || t.tokens[id] == "" {
		return nil
	}
	return []byte(t.tokens[id])
}

// Token returns the text of one id for display. What is not valid UTF-8, and an id outside the vocabulary, shows as U+FFFD.
func (t *Tokenizer) Token(id int64) string {
	b := t.Bytes(id)
	if b == nil {
		return "\uFFFD"
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// Decode returns the text of ids: their bytes, one after the other. Ids outside the vocabulary have none.
func (t *Tokenizer) Decode(ids []int64) string {
	var b strings.Builder
	for _, id := range ids {
		if id >= 0 && id < int64(len(t.tokens)) {
			b.WriteString(t.tokens[id])
		}
	}
	return b.String()
}

// Encode returns the ids of text, shape [tokens]. The names of added tokens, special ones too, become their one id.
func (t *Tokenizer) Encode(text string) []int64 { return t.encode(text, true) }

// EncodeOrdinary is [Tokenizer.Encode] for text from elsewhere: "<|endoftext|>" in it is thirteen characters, not the end of a
// document. Added tokens that are not special are recognised all the same.
func (t *Tokenizer) EncodeOrdinary(text string) []int64 { return t.encode(text, false) }

func (t *Tokenizer) encode(text string, special bool) []int64 {
	ids := make([]int64, 0, len(text)/4+1) // English has about four bytes a token
	for text != "" {
		at, tok := t.findAdded(text, special)
		rest := text[:at]
		if t.prefix && rest != "" && rest[0] != ' ' {
			rest = " " + rest
		}
		for rest != "" {
			n := piece(rest)
			ids = t.appendPiece(ids, rest[:n])
			rest = rest[n:]
		}
		if tok == nil {
			break
		}
		ids = append(ids, tok.id)
		text = text[at+len(tok.text):]
	}
	return ids
}

// findAdded returns the leftmost added token in text, the longest where several begin, and where it begins.
// Without one it returns len(text) and nil.
func (t *Tokenizer) findAdded(text string, special bool) (int, *added) {
	for i := range len(text) {
		list := t.added[text[i]]
		for k := range list {
			if (special || !list[k].special) && strings.HasPrefix(text[i:], list[k].text) {
				return i, &list[k]
			}
		}
	}
	return len(text), nil
}

// A spec is what the files of a tokenizer say, whatever their format.
type spec struct {
	vocab  map[string]int64 // by the token's spelling in symbols
	merges [][2]string      // in symbols, best first
	added  []added
	prefix bool
	bos    []string // names for the token that begins a text, best first; those that the vocabulary lacks do not count
	bosID  int64    // its id, where no name counts; -1 if not known
}

const endOfText = "<|endoftext|>" // what GPT-2 begins and ends a text with

// maxID bounds the table of tokens; the largest vocabularies in use have about 2^18.
const maxID = 1<<24 - 1

func build(s spec) (*Tokenizer, error) {
	t := &Tokenizer{merges: make(map[uint64]merge, len(s.merges)), prefix: s.prefix, bos: -1}
	owner := make(map[int64]string, len(s.vocab)) // id to spelling
	size := int64(0)
	claim := func(spelling string, id int64) error {
		if id < 0 || id > maxID {
			return fmt.Errorf("token %q: id %d is not in 0..%d", spelling, id, maxID)
		}
		if other, ok := owner[id]; ok && other != spelling {
			return fmt.Errorf("tokens %q and %q share id %d", min(spelling, other), max(spelling, other), id)
		}
		owner[id] = spelling
		size = max(size, id+1)
		return nil
	}
	for spelling, id := range s.vocab {
		if err := claim(spelling, id); err != nil {
			return nil, err
		}
	}
	addedID := make(map[string]int64, len(s.added))
	for _, a := range s.added {
		if id, ok := s.vocab[a.text]; ok {
			if id != a.id {
				return nil, fmt.Errorf("added token %q: id %d, but %d in the vocabulary", a.text, a.id, id)
			}
			if text, ok := fromSymbols(a.text); ok && text != a.text { // one id for two strings could not be decoded
				return nil, fmt.Errorf("added token %q: the vocabulary spells %q so", a.text, text)
			}
		}
		if id, ok := addedID[a.text]; ok && id != a.id {
			return nil, fmt.Errorf("added token %q: id %d, but %d further up", a.text, a.id, id)
		}
		addedID[a.text] = a.id
		if err := claim(a.text, a.id); err != nil {
			return nil, err
		}
	}

	t.tokens = make([]string, size)
	for spelling, id := range s.vocab {
		text, ok := fromSymbols(spelling)
		if !ok {
			text = spelling // no piece of text can become this one; show it as it is written
		}
		t.tokens[id] = text
	}
	for b := range t.bytes {
		id, ok := s.vocab[string(symbols[b])]
		if !ok {
			return nil, fmt.Errorf("no token for byte 0x%02x, written %q", b, symbols[b])
		}
		t.bytes[b] = int32(id)
	}
	for rank, m := range s.merges {
		var ids [3]int64
		for i, spelling := range []string{m[0], m[1], m[0] + m[1]} {
			id, ok := s.vocab[spelling]
			if !ok {
				return nil, fmt.Errorf("merge %d, %q with %q: %q is not in the vocabulary", rank, m[0], m[1], spelling)
			}
			ids[i] = id
		}
		t.merges[pair(int32(ids[0]), int32(ids[1]))] = packMerge(rank, int(ids[2]))
	}
	for _, a := range s.added {
		if a.text == "" {
			continue
		}
		t.tokens[a.id] = a.text
		t.added[a.text[0]] = append(t.added[a.text[0]], a)
	}
	for _, list := range t.added {
		slices.SortFunc(list, func(a, b added) int { return cmp.Compare(len(b.text), len(a.text)) })
	}
	lookup := func(name string) int64 {
		if id, ok := addedID[name]; ok {
			return id
		}
		if id, ok := s.vocab[name]; ok {
			return id
		}
		return -1
	}
	for _, name := range s.bos {
		if t.bos = lookup(name); t.bos >= 0 {
			return t, nil
		}
	}
	if t.bos = lookup(endOfText); s.bosID >= 0 && s.bosID < size && t.tokens[s.bosID] != "" {
		t.bos = s.bosID
	}
	return t, nil
}
