package eval

// HashTokenizer identifies the tokenizer files of a folder by their bytes, as results.Model.Tokenizer has it; "" for none. They are
// the files that tokenizer.Load reads: those beside the vocabulary decide which token begins a text, and more.
func HashTokenizer(dir string) (string, error) {
	return hashDir(dir, "tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json", "special_tokens_map.json", "config.json")
}
