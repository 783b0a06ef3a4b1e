package eval

// HashTokenizer identifies the tokenizer of a folder by the bytes of its files, for results.Model.Tokenizer; "" when there
// are none. It hashes the files that tokenizer.Load reads; files next to the vocabulary decide, among other things, which
// token begins a text.
func HashTokenizer(dir string) (string, error) {
	return hashDir(dir, "tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json", "special_tokens_map.json", "config.json")
}
