// Package pattern matches the regular expressions of tokenizer.json like Hugging Face's tokenizers.
//
// Their engine is Oniguruma. Go's regexp has no look-ahead and no possessive quantifiers, and its classes follow another
// version of Unicode; ids depend on both. This package supports the part of Oniguruma's language that tokenizers use: a class
// of characters with any repetition, groups, alternatives, look-around of fixed width, anchors, and (?i:…) around plain text.
// It refuses anything else by name.
//
// The classes \p{L}, \s and so on are read from two tables that were generated from Oniguruma (scripts/tokenizers/unicode.py),
// so that they do not depend on the version of Go.
//
// The matcher backtracks, which gives the leftmost match in the order of the alternatives. After a budget of steps it records
// the states that have failed. Therefore the time for a whole text is at most proportional to the length of the program times
// the length of the text, for any expression.
package pattern
