// Package tokenizer converts text to the ids that a decoder model reads, and back. It implements byte-pair encoding as
// described by the files of the model's folder.
//
// Five steps convert text to ids. The file tokenizer.json defines each of them.
//
//  1. Added tokens, such as <|endoftext|>, are cut out of the text first. Each is one id. A "special" added token represents
//     something that is not text (the beginning of a document). [Tokenizer.EncodeOrdinary] treats its name as plain text.
//  2. Normalizers change the rest: they apply a normal form of Unicode (Qwen: NFC), or replace each space with a visible mark
//     "▁" (Llama 2, Gemma). Added tokens that are marked "normalized" are cut out after this.
//  3. Pre-tokenizers split the text into pieces, which merging never joins: a word, number or run of symbols with the space
//     before it, a contraction, a run of white space. The rule is usually a regular expression; package pattern matches it.
//  4. Byte-level tokenizers write each byte as a visible character: "Ġ" (U+0120) is the space, "Ċ" (U+010A) the line feed.
//     Other tokenizers keep characters, and use tokens of single bytes, <0x0A>, for characters without a token.
//  5. Each piece starts as its characters, one token each. Merging repeatedly joins the two neighbours whose merge has the
//     lowest rank, the leftmost first, until no neighbours have a merge.
//
// Tables list the supported kinds of each step: normalizers, splitters, decoders, postProcessors. A kind that is not in the
// table is an error that names it, because no ids are better than wrong ids.
//
// # Invariants
//
//   - The ids are those of Hugging Face's tokenizers. Small tokenizers of each family in testdata check this, and
//     "make tokenizers" checks it with real ones.
//   - A byte-level tokenizer has a token for each printable ASCII byte; [Load] refuses one without. Bytes without a token, such
//     as some control characters in SmolLM2, are left out of the ids. Bytes that are not UTF-8, which Hugging Face does not
//     accept, are split like symbols and encoded as bytes.
//   - Decode(Encode(s)) == s if nothing is normalized, added at the front or unknown, as with GPT-2 and Llama 3.
//   - Encode adds nothing: no beginning-of-text token (see [Tokenizer.BOS]), no padding, no truncation, even if the
//     post-processor in tokenizer.json would.
//   - Encoding takes n log n time in the length of the longest piece, for any text and any file.
//   - A Tokenizer never changes after it is loaded, so any number of goroutines may use it.
//
// Classes of characters and normal forms are those of the Unicode versions in Hugging Face's tokenizers, not Go's.
package tokenizer
