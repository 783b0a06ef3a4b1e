"""Makes a checkpoint folder of a GGUF file of SmolLM2 or Gemma 3: float32 weights, config.json, tokenizer.json, tokenizer_config.json.

usage: checkpoint.py FILE.gguf FOLDER

transformers reads the weights. Its own tokenizers of such files are not used. That of SmolLM2 loses the step that takes every digit apart,
so that "1893" becomes other tokens than those the model was trained with. The tokenizer is built here from the vocabulary that the
file holds, with the steps that the file's names for them mean.
"""

import argparse
import json
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6  # token types of GGUF
SPACE = "\u2581"  # how sentencepiece writes a space


def read(path: Path):
    """Returns a function that gives a value of the file's tokenizer by name."""
    fields = GGUFReader(path).fields
    return lambda name: fields[f"tokenizer.ggml.{name}"].contents() if f"tokenizer.ggml.{name}" in fields else None


def byte_level(of) -> Tokenizer:
    """The tokenizer of SmolLM2: byte-level BPE with the file's merges. Digits are taken apart first."""
    t = Tokenizer(models.BPE({token: i for i, token in enumerate(of("tokens"))}, [tuple(m.split(" ")) for m in of("merges")]))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    return t


def sentencepiece(of) -> Tokenizer:
    """The tokenizer of Gemma: BPE over characters as sentencepiece does it. The file has no merges: two tokens merge if their texts
    together are a token, and the token with the highest score goes first. Characters without a token become bytes."""
    tokens, scores, types = of("tokens"), of("scores"), of("token_type")
    known = {token: i for i, token in enumerate(tokens)}
    parts = {token for token, type in zip(tokens, types) if type in (NORMAL, USER)}
    merges = []
    for token, score in zip(tokens, scores):
        if token in parts:
            merges += [(-score, known[left], known[right]) for left, right in ((token[:k], token[k:]) for k in range(1, len(token))) if left in parts and right in parts]
    merges.sort()
    t = Tokenizer(models.BPE(known, [(tokens[left], tokens[right]) for _, left, right in merges], unk_token=tokens[of("unknown_token_id")],
                             fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Replace(" ", SPACE)
    t.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    return t


# What a file's names for its kind of tokenizer mean, with the class of transformers that works in the same way.
KINDS = {("gpt2", "smollm"): (byte_level, "GPT2Tokenizer", {NORMAL, CONTROL}),
         ("llama", "default"): (sentencepiece, "GemmaTokenizer", {NORMAL, UNKNOWN, CONTROL, USER, BYTE})}


def kind(of):
    name = of("model"), of("pre")
    if name not in KINDS:
        raise SystemExit(f"checkpoint: the tokenizer is {' with '.join(name)}: want {', '.join(' with '.join(k) for k in KINDS)}")
    return KINDS[name]


def tokenizer(of) -> Tokenizer:
    """Builds the tokenizer from what the file says of it."""
    make, _, allowed = kind(of)
    tokens, types = of("tokens"), of("token_type")
    if unknown := set(types) - allowed:
        raise SystemExit(f"checkpoint: tokens of types {sorted(unknown)}: want {sorted(allowed)}")
    t = make(of)
    t.add_special_tokens([token for token, type in zip(tokens, types) if type == CONTROL])
    if t.get_vocab_size() != len(tokens):
        raise SystemExit(f"checkpoint: {t.get_vocab_size()} tokens after the special ones were added: want the file's {len(tokens)}")
    return t


def settings(of) -> dict:
    """Returns tokenizer_config.json: which tokens begin, end and fill a text."""
    tokens = of("tokens")
    return {
        "tokenizer_class": kind(of)[1],
        "add_prefix_space": of("add_space_prefix"),
        "add_bos_token": of("add_bos_token"),
        "bos_token": tokens[of("bos_token_id")],
        "eos_token": tokens[of("eos_token_id")],
        "unk_token": tokens[of("unknown_token_id")],
        "pad_token": tokens[of("padding_token_id")],
        "clean_up_tokenization_spaces": False,
    }


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("file", type=Path)
    args.add_argument("folder", type=Path)
    a = args.parse_args()
    model = AutoModelForCausalLM.from_pretrained(a.file.parent, gguf_file=a.file.name, dtype=torch.float32)
    model.save_pretrained(a.folder)
    of = read(a.file)
    tokenizer(of).save(str(a.folder / "tokenizer.json"))
    (a.folder / "tokenizer_config.json").write_text(json.dumps(settings(of), indent=2) + "\n")
    print(f"checkpoint: {sum(p.numel() for p in model.parameters())} weights, {len(of('tokens'))} tokens")


if __name__ == "__main__":
    main()
