// Package normal normalizes text like the normalizers NFC, NFD, NFKC, NFKD and Lowercase of Hugging Face's tokenizers.
//
// These use their own version of Unicode, in parts older and in parts newer than Go's, and tokens depend on the exact result.
// The tables were generated from them (scripts/tokenizers/unicode.py). Each line is one of:
//
//	class K LO HI            the characters from LO to HI have combining class K
//	canonical C D…           C is decomposed into D…, in every form
//	compatible C D…          C is decomposed into D… in NFKD and NFKC
//	compose A B C            A and B become C in NFC and NFKC
//	lower C D…               the lower case of C
//
// Bytes that are not UTF-8 are unchanged.
package normal
