// Package tokenizer turns text into the numbers that a decoder model reads, and back: byte-pair encoding, as the folder of the
// model describes it.
//
// Five steps make ids out of text; tokenizer.json says what each is.
//
//  1. Added tokens, such as <|endoftext|>, are cut out of the text first; each is one id. A "special" added token stands for
//     something that is not text (the beginning of a document); [Tokenizer.EncodeOrdinary] treats its name as plain text.
//  2. Normalizers change what is left: the normal forms of Unicode (Qwen: NFC), a visible mark "▁" for each space (Llama 2, Gemma).
//     Added tokens that are marked "normalized" are cut out after this.
//  3. Pre-tokenizers split it into pieces, which merging never joins: a word or number or run of symbols with the space before it,
//     a contraction, a run of white space. The rule is most often a regular expression; package pattern matches it.
//  4. Byte-level tokenizers then write each byte as a visible character: "Ġ" (U+0120) is the space, "Ċ" (U+010A) the line feed.
//     The others keep characters, and fall back to tokens of single bytes, <0x0A>, for characters without a token.
//  5. Each piece starts as its characters, one token each. Then the two neighbours whose merge has the lowest rank become one
//     token, the leftmost first, until no neighbours have a merge.
//
// What each step may be is a table: normalizers, splitters, decoders, postProcessors. A kind that is not there is an error that
// names it: better no ids than wrong ones.
//
// What always holds:
//   - The ids are those of Hugging Face's tokenizers. Small tokenizers of each family in testdata, and "make tokenizers" on real
//     ones, hold the package to it.
//   - A byte-level tokenizer has a token for each of the 256 bytes, so that every string has ids; [Load] refuses one that has not.
//     Bytes that are not UTF-8, which Hugging Face does not take, are split off like symbols and encoded as themselves.
//   - Decode(Encode(s)) == s where nothing is normalized, put in front or unknown, as with GPT-2 and Llama 3.
//   - Encode adds nothing of its own: no beginning-of-text token (ask [Tokenizer.BOS]), no padding, no truncation, whatever the
//     post-processor in tokenizer.json says.
//   - Encoding takes n log n time in the length of the longest piece, for any text and any file.
//   - A Tokenizer never changes after it is loaded; any number of goroutines may use it.
//
// Classes of characters and normal forms are those of the editions of Unicode that Hugging Face's tokenizers has, not Go's.
package tokenizer
