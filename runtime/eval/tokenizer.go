package eval

// HashTokenizer identifies the tokenizer files of a folder by their bytes, as results.Model.Tokenizer has it; "" for none.
func HashTokenizer(dir string) (string, error) {
	return hashDir(dir, "tokenizer.json", "vocab.json", "merges.txt")
}
