// Package normal changes text as the normalizers NFC, NFD, NFKC, NFKD and Lowercase of Hugging Face's tokenizers do.
//
// They follow an edition of Unicode of their own, older than Go's in places and newer in others, and a token depends on the exact
// result. The tables were written by asking them (scripts/tokenizers/unicode.py), one line each:
//
//	class K LO HI            the characters from LO to HI have combining class K
//	canonical C D…           C is decomposed into D…, in every form
//	compatible C D…          C is decomposed into D… in NFKD and NFKC
//	compose A B C            A and B become C in NFC and NFKC
//	lower C D…               the lower case of C
//
// Bytes that are not UTF-8 stay as they are.
package normal
