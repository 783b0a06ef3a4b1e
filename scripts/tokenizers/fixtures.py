#!/usr/bin/env python3
"""Writes the small tokenizers that `go test` checks: models/tokenizer/testdata/NAME/{tokenizer.json,golden.json}, and splits.json.

Usage: fixtures.py, in a Python with tokenizers.
Each is trained on a few texts, with the components of a family of models. golden.json has, for each text, what Hugging Face's
tokenizers makes of it: the ids, and the decoded text where it is not the text itself. splits.json has patterns and what each splits
off texts, so that the matcher is checked by itself. Training breaks ties by chance, so that some tokenizers are others at the next
run; the two files of a folder always belong together.
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from texts import WORDS, Texts

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "models/tokenizer"
CORPUS = (" ".join(WORDS) + """
The largest coral reef system in the world is located off the coast of Australia. It is home to 1,500 species of fish; they have
been counted since 1998. People in the land of Machu Picchu speak Spanish and Quechua, and the capital is Lima. What's the matter?
def main():\n    return {"a": 1, "b": 22, "c": 333}\n\n\tif x == 10 and y != 2000:\n\t\tprint("hello world")\n""").split("\n") * 3

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA3.replace("{1,3}", "")
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = [
    r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+" "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"

split = pre_tokenizers.Split
byte_level = pre_tokenizers.ByteLevel
LAST = byte_level(add_prefix_space=False, use_regex=False)


def special(name, **flags):
    return AddedToken(name, special=True, normalized=False, **flags)


def template(bos):
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, 1)])


def bytewise(pre, normalizer=None, added=(), post=None, size=600, **model):
    """A byte-level tokenizer."""
    t = Tokenizer(models.BPE(**model))
    t.pre_tokenizer = pre if isinstance(pre, pre_tokenizers.PreTokenizer) else pre_tokenizers.Sequence(pre)
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, initial_alphabet=byte_level.alphabet(), special_tokens=["<|endoftext|>", "<|begin|>"], show_progress=False))
    t.add_tokens(list(added))
    if post:
        t.post_processor = post
    return t


def spaced(normalizer=None, pre=None, fallback=True, added=(), post=None, decoder=None, size=700, **model):
    """A tokenizer in the manner of SentencePiece."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback, **model))
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    names = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if fallback else [])
    # A limited alphabet, so that there are characters without a token.
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, limit_alphabet=90, special_tokens=names, max_token_length=8, show_progress=False))
    t.decoder = decoder or decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    data = json.loads(t.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(data))
    t.add_tokens(list(added))
    if post:
        t.post_processor = post
    return t


ODD = [
    AddedToken("<both>", lstrip=True, rstrip=True, normalized=False), AddedToken("<left>", lstrip=True, normalized=False), special("<right>", rstrip=True),
    AddedToken("word", single_word=True, normalized=False), AddedToken("Normal É", normalized=True), AddedToken("wo", normalized=False), AddedToken("  ", normalized=False),
    AddedToken("ﬁx", normalized=True, lstrip=True), AddedToken("</tag>", normalized=True, single_word=True),
]
LLAMA2 = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def tokenizers():
    """Every fixture by name."""
    yield "llama3", bytewise([split(Regex(LLAMA3), "isolated"), LAST], ignore_merges=True, post=processors.Sequence([processors.ByteLevel(trim_offsets=False), template("<|begin|>")]))
    yield "qwen", bytewise([split(Regex(QWEN), "isolated"), LAST], normalizers.NFC(), added=[AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    yield "gpt4o", bytewise([split(Regex(GPT4O), "removed", invert=True), LAST])
    yield "cl100k", bytewise([split(Regex(CL100K), "removed", invert=True), LAST])
    yield "deepseek", bytewise([split(Regex(p), "isolated") for p in DEEPSEEK] + [LAST], normalizers.Sequence([]), added=[AddedToken("<｜tool▁sep｜>", normalized=True)])
    yield "falcon", bytewise([pre_tokenizers.Punctuation("contiguous"), byte_level(add_prefix_space=False), pre_tokenizers.Digits(False), split(Regex("[0-9][0-9][0-9]"), "isolated")])
    yield "starcoder", bytewise([pre_tokenizers.Digits(True), byte_level(add_prefix_space=True)], normalizers.NFKC(), added=ODD)
    yield "bloom", bytewise([split(Regex(BLOOM), "isolated"), LAST], normalizers.NFD())
    yield "llama2", spaced(LLAMA2, fuse_unk=True, post=template("<s>"))
    yield "gemma", spaced(normalizers.Replace(" ", "▁"), split(" ", "merged_with_previous"), fuse_unk=True, post=template("<s>"), decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))
    first = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    yield "mistral", spaced(None, first, fuse_unk=False, added=ODD, post=template("<s>"))
    yield "unknown", spaced(normalizers.Sequence([normalizers.Strip(), normalizers.Lowercase()]), pre_tokenizers.Metaspace(), fallback=False, fuse_unk=False, added=ODD, decoder=decoders.Metaspace())
    odd = normalizers.Sequence([normalizers.NFKD(), normalizers.Replace(Regex(r"\s{2,}|\p{Mn}+"), " "), normalizers.Lowercase(), normalizers.Prepend("_")])
    yield "odd", spaced(odd, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), split(Regex("[aeiou]+"), "merged_with_next"), pre_tokenizers.Metaspace(prepend_scheme="always")]), fallback=False, fuse_unk=True, added=ODD)
    yield "words", spaced(None, pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()]), fallback=False, fuse_unk=True)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def short(source, count, characters):
    out = []
    while len(out) < count:
        text = source.text()
        if 0 < len(text) <= characters:
            out.append(text)
    return out


def write_tokenizers():
    names = ["<|endoftext|>", "<|begin|>", "<s>", "</s>", "<unk>", "<think>", "<｜tool▁sep｜>"] + [t.content for t in ODD]
    shared = ["", " ", "a", " a", "Peru", " Peru", "word", "words word", " word ", "a  <left>  b  <both>  c", "<right>  x", "x</tag>y </tag>", "normal é Normal É", "ﬁx  ﬁx", "１２3 ½"]
    for name, t in tokenizers():
        folder = FOLDER / "testdata" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(compact(json.loads(t.to_str())))
        rows = []
        for text in shared + short(Texts(name, names), 200, 60):
            ids = t.encode(text, add_special_tokens=False).ids
            back = t.decode(ids, skip_special_tokens=False)
            rows.append([text, ids] if back == text else [text, ids, back])
        (folder / "golden.json").write_text("[\n" + ",\n".join(map(compact, rows)) + "\n]\n")
        print(f"{name}: {t.get_vocab_size()} tokens, {len(rows)} texts")


PATTERNS = [LLAMA3, CL100K, GPT4O, DEEPSEEK[2], BLOOM] + [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", r"\p{Han}+|[\p{L}&&[^\p{Han}]]+", r"\w+|[^\w\s]+", r"(?<=[a-z])(?=[A-Z])b|\d+?x|\bfoo\B",
    r"a*?b|(?:ab|a)+c", r"\s++$|^\S", r"^b|a$|\n\Z|\A.", r"(?:a|ab)(?:c|bcd)d*", r"(?:a|a)*b", r"(?:a{1,2}){2,3}b?", r"(?<![a-z])\d|(?<=ab|c)x", r"[\w&&[^\d_]]+", r"[^\n]+\n?",
    r"x{0,2}y|x{,3}z|x{2,}w", r"\P{L}\p{^N}", r"(?i:k[a-f]t)|a{x}|b{", r"a?+ab|b?a??b|[a-c]*+d", r"(?i)ab|c", r"\x41|\u0062|\x{4E00}|\t|\-|[\]\-a]", r"\W+\b|\d\B|\h+", r"a{2}+b?|(?:ab){1,2}?",
]
ALPHABET = "aAbcdxyzwft19 \n\r\t'SsKkſKéÉ一あ中.,!?()|[_-٣½²ⅷǅʰ\u0301\u00a0\u3000😀 \u10d50𝒳…。]{}"


def write_splits():
    rnd = random.Random(7)
    out = []
    for p in PATTERNS:
        judge = split(Regex(p), "isolated")
        rows = []
        for _ in range(70):
            letters = rnd.choice([ALPHABET, ALPHABET, "ab", "abcd", "a1 \n", "xyzw", "aA'sS \n", "  \n\ta"])
            text = "".join(rnd.choice(letters) for _ in range(rnd.randint(1, 16)))
            rows.append([s for s, _ in judge.pre_tokenize_str(text)])
        out.append({"pattern": p, "pieces": rows})
    folder = FOLDER / "pattern/testdata"
    folder.mkdir(exist_ok=True)
    (folder / "splits.json").write_text("[\n" + ",\n".join(map(compact, out)) + "\n]\n")


def write_normal():
    rnd = random.Random(7)
    forms = {"NFC": normalizers.NFC(), "NFD": normalizers.NFD(), "NFKC": normalizers.NFKC(), "NFKD": normalizers.NFKD(), "Lowercase": normalizers.Lowercase()}
    source = Texts(7, [])
    out = []
    for i in range(400):
        text = source.script(rnd.randint(1, 9)) if i % 2 else "".join(source.part() for _ in range(2))[:60]
        text += "".join(rnd.choice("e\u0301\u0323\u0345\u0334\u05b0\u3099かᄀ\u1161\u11a8\U00020041\u08d3\u0344Σİ") for _ in range(rnd.randint(0, 5)))
        out.append([text] + [f.normalize_str(text) for f in forms.values()])
    folder = FOLDER / "normal/testdata"
    folder.mkdir(exist_ok=True)
    (folder / "golden.json").write_text("[\n" + ",\n".join(map(compact, out)) + "\n]\n")


if __name__ == "__main__":
    write_tokenizers()
    write_splits()
    write_normal()
