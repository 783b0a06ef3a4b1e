// Package tokenizer turns text into the numbers that a GPT-2 reads, and back: byte-level BPE.
//
// Three steps make ids out of text.
//
//  1. Added tokens, such as <|endoftext|>, are cut out of the text first; each is one id. A "special" added token stands for
//     something that is not text (the beginning of a document); [Tokenizer.EncodeOrdinary] treats its name as plain text.
//  2. The rest is split into pieces: a word or number or run of symbols with the space before it, a contraction, a run of white
//     space. The rule is GPT-2's regular expression, written by hand because Go's regexp has no look-ahead.
//  3. Each piece starts as its bytes, one token each. Then the two neighbours whose merge has the lowest rank become one token,
//     the leftmost first, until no neighbours have a merge.
//
// In files a token is written with a visible character for every byte: "Ġ" (U+0120) is the space, "Ċ" (U+010A) the line feed.
// In memory a token is the bytes it stands for.
//
// What always holds:
//   - A tokenizer has a token for each of the 256 bytes, so that every string has ids; [Load] refuses one that has not.
//   - Decode(Encode(s)) == s, also for strings that are not valid UTF-8 (a stray byte is split off like a symbol and encoded as
//     itself). The one exception: with add_prefix_space a space goes in front of text that has none.
//   - Encode adds nothing of its own: no beginning-of-text token (ask [Tokenizer.BOS]), no padding, no truncation, whatever the
//     post-processor in tokenizer.json says.
//   - A Tokenizer never changes after it is loaded; any number of goroutines may use it.
//
// Letters and numbers are those of the Unicode version that Go knows; a tokenizer built on a newer Unicode may split characters
// that were assigned since in another way.
package tokenizer
