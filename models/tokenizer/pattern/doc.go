// Package pattern matches the regular expressions of tokenizer.json as Hugging Face's tokenizers does.
//
// Its engine there is Oniguruma. Go's regexp has no look-ahead and no possessive quantifiers, and its classes follow another
// edition of Unicode; ids depend on both. This package reads the part of Oniguruma's language that tokenizers use, and refuses
// the rest by name: a class of characters repeated in any way, groups, alternatives, look-around of fixed width, anchors, and
// (?i:…) around plain text.
//
// The classes \p{L}, \s and so on are read from two tables that were written by asking Oniguruma (scripts/tokenizers/unicode.py),
// so that they do not change with the version of Go.
//
// The matcher backtracks, which gives the leftmost match in the order of the alternatives. Past a budget of steps it remembers
// which states have failed; so the time for a whole text is at most the length of the program times the length of the text,
// whatever the expression.
package pattern
