package tokenizer

import (
	"fmt"
	"strings"
)

// A Tokenizer converts text to ids and back. [Load] makes one.
type Tokenizer struct {
	tokens      []string // the text of each id, "" for an unused id
	added       map[int64]added
	raw, normal addedSet // added tokens that are searched for before and after normalization
	front, mid  pipeline
	model       model
	decoder     decoder
	bos         int64 // -1 if there is none
	eos         []int64
}

// Size returns the highest id plus one. A model may have more rows, because embeddings are often padded.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// Ordinary returns the highest id that is not an added token plus one. A model needs as many rows. Added tokens may have no
// row: people add a padding token to the tokenizer of a model that was trained without one.
func (t *Tokenizer) Ordinary() int {
	n := len(t.tokens)
	for ; n > 0; n-- {
		if _, added := t.added[int64(n-1)]; !added && t.tokens[n-1] != "" {
			break
		}
	}
	return n
}

// Bytes returns the bytes of id, or nil for an id outside the vocabulary. They need not be valid UTF-8, because a character
// may consist of several tokens.
func (t *Tokenizer) Bytes(id int64) []byte {
	if id < 0 || id >= int64(len(t.tokens)) || t.tokens[id] == "" {
		return nil
	}
	return []byte(t.tokens[id])
}

// Token returns the text of one id for display. Invalid UTF-8 and an id outside the vocabulary are shown as U+FFFD.
func (t *Tokenizer) Token(id int64) string {
	b := t.Bytes(id)
	if b == nil {
		return "\uFFFD"
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// Special reports whether id is an added token that represents something that is not text.
func (t *Tokenizer) Special(id int64) bool { return t.added[id].special }

// Decode returns the text of ids: their bytes, joined. Ids outside the vocabulary are skipped. If the tokenizer adds a
// space before every text, the first space is removed; [Tokenizer.Token] shows it.
func (t *Tokenizer) Decode(ids []int64) string {
	var b strings.Builder
	for i, id := range ids {
		if id < 0 || id >= int64(len(t.tokens)) {
			continue
		}
		text := t.tokens[id]
		if _, added := t.added[id]; i == 0 && !added && t.decoder.unmark {
			text = strings.ReplaceAll(text, " ", "")
		}
		b.WriteString(text)
	}
	return t.decoder.start(b.String())
}

// A pipeline is the sequence of steps before merging.
type pipeline struct {
	normalizers []normalizer
	splitters   []splitter
}

// mid returns the pipeline for text that is not at the front, which adds nothing at the front.
func (p pipeline) mid() pipeline {
	var out pipeline
	for _, n := range p.normalizers {
		if !n.front {
			out.normalizers = append(out.normalizers, n)
		}
	}
	for _, x := range p.splitters {
		switch y := x.(type) {
		case byteLevel:
			y.prefix = false
			x = y
		case metaspace:
			y.scheme = "never"
			x = y
		}
		out.splitters = append(out.splitters, x)
	}
	return out
}

func (p pipeline) normalize(s string) string {
	for _, n := range p.normalizers {
		s = n.apply(s)
	}
	return s
}

// Encode returns the ids of text, shape [tokens]. The name of an added token, special or not, becomes its one id.
func (t *Tokenizer) Encode(text string) []int64 { return t.encode(text, true, t.front) }

// EncodeMid is [Tokenizer.Encode] for text that continues other text. It differs if the tokenizer adds a space before every
// text (Llama 2, Mistral): " Spanish" after a prompt is one token, and would be two with another space before it.
func (t *Tokenizer) EncodeMid(text string) []int64 { return t.encode(text, true, t.mid) }

// EncodeOrdinary is [Tokenizer.Encode] for text from other sources: "<|endoftext|>" in it is thirteen characters, not the
// end of a document. Added tokens that are not special are still recognised.
func (t *Tokenizer) EncodeOrdinary(text string) []int64 { return t.encode(text, false, t.front) }

func (t *Tokenizer) encode(text string, special bool, p pipeline) []int64 {
	ids := make([]int64, 0, len(text)/4+1) // English has about four bytes per token
	t.raw.cut(text, special, func(part string, at int, tok *added) {
		if tok != nil {
			ids = append(ids, tok.id)
			return
		}
		t.normal.cut(p.normalize(part), special, func(part string, inner int, tok *added) {
			if tok != nil {
				ids = append(ids, tok.id)
				return
			}
			ids = t.pieces(ids, p.splitters, part, at+inner == 0)
		})
	})
	return ids
}

// pieces appends the ids of a text after the splitters have cut it.
func (t *Tokenizer) pieces(ids []int64, splitters []splitter, s string, first bool) []int64 {
	if s == "" {
		return ids
	}
	if len(splitters) == 0 {
		return t.model.appendPiece(ids, s)
	}
	splitters[0].split(s, first, func(piece string, first bool) {
		ids = t.pieces(ids, splitters[1:], piece, first)
	})
	return ids
}

// A spec holds the contents of a tokenizer's files, independent of their format.
type spec struct {
	vocab  map[string]int64 // by spelling
	merges [][2]string      // best first
	added  []added
	pipeline
	decoder  decoder
	bytes    bool   // texts are written in the characters that represent bytes, and each must have a token
	unknown  string // the token for characters without one, "" for none
	fuse     bool
	fallback bool
	whole    bool
	begin    begin
	eos      []int64 // ids that end a text, if a configuration gives them
	eosName  string  // otherwise the name of the token
}

const endOfText = "<|endoftext|>" // the token at the beginning and end of a text in GPT-2

// maxAdded limits the length of an added token in bytes, because every length of an added token is tried at each place of a
// text.
const maxAdded = 256

// maxID limits the table of tokens. The largest vocabularies in use have about 2^18.
const maxID = 1<<22 - 1

func build(s spec) (*Tokenizer, error) {
	size, addedID, err := claim(&s)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{tokens: make([]string, size), added: map[int64]added{}, front: s.pipeline, mid: s.pipeline.mid(), decoder: s.decoder}
	if t.model, err = newModel(&s); err != nil {
		return nil, err
	}
	for spelling, id := range s.vocab {
		t.tokens[id] = s.decoder.text(spelling)
	}
	for _, a := range s.added {
		t.added[a.id] = a
		if !a.normal {
			t.tokens[a.id] = a.text
			t.raw.put(a.text, a)
			continue
		}
		text := s.normalize(a.text)
		t.normal.put(text, a)
		if t.tokens[a.id] = text; !s.bytes { // byte-level tokenizers show added tokens unchanged
			t.tokens[a.id] = s.decoder.text(text)
		}
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
	known := func(id int64) bool { return id >= 0 && id < size && t.tokens[id] != "" }
	t.bos = s.begin.token(lookup, known)
	for _, id := range s.eos {
		if known(id) {
			t.eos = append(t.eos, id)
		}
	}
	if id := lookup(s.eosName); len(s.eos) == 0 && id >= 0 {
		t.eos = []int64{id}
	}
	return t, nil
}

// claim checks that every id has one spelling and every added token one id. It returns the highest id plus one, and the ids
// of added tokens.
func claim(s *spec) (size int64, addedID map[string]int64, err error) {
	spellings := func(yield func(string, int64) bool) {
		for spelling, id := range s.vocab {
			if !yield(spelling, id) {
				return
			}
		}
		for _, a := range s.added {
			if !yield(a.text, a.id) {
				return
			}
		}
	}
	for spelling, id := range spellings {
		if id < 0 || id > maxID {
			return 0, nil, fmt.Errorf("token %q: id %d is not in 0..%d", spelling, id, maxID)
		}
		size = max(size, id+1)
	}
	owner, owned := make([]string, size), make([]bool, size)
	for spelling, id := range spellings {
		if other := owner[id]; owned[id] && other != spelling {
			return 0, nil, fmt.Errorf("tokens %q and %q share id %d", min(spelling, other), max(spelling, other), id)
		}
		owner[id], owned[id] = spelling, true
	}
	addedID = make(map[string]int64, len(s.added))
	for _, a := range s.added {
		if len(a.text) > maxAdded {
			return 0, nil, fmt.Errorf("added token %q…: want at most %d bytes, got %d", a.text[:20], maxAdded, len(a.text))
		}
		if id, ok := s.vocab[a.text]; ok {
			if id != a.id {
				return 0, nil, fmt.Errorf("added token %q: id %d, but %d in the vocabulary", a.text, a.id, id)
			}
			if text, ok := fromSymbols(a.text); ok && s.bytes && text != a.text { // one id for two strings cannot be decoded
				return 0, nil, fmt.Errorf("added token %q: this is the vocabulary's spelling of %q", a.text, text)
			}
		}
		if id, ok := addedID[a.text]; ok && id != a.id {
			return 0, nil, fmt.Errorf("added token %q: id %d, but %d earlier", a.text, a.id, id)
		}
		addedID[a.text] = a.id
	}
	return size, addedID, nil
}
