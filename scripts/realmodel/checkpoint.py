"""Makes a checkpoint folder of a GGUF file of SmolLM2: float32 weights, config.json, tokenizer.json, tokenizer_config.json.

usage: checkpoint.py FILE.gguf FOLDER

transformers reads the weights. Its own tokenizer of such a file is not used: it loses the step that takes every digit apart, so that
"1893" becomes other tokens than those the model was trained with. The tokenizer is built here from the vocabulary and the merges that the
file holds, with the steps that the file's name for them, smollm, means.
"""

import argparse
import json
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM

STEPS = {"smollm": lambda: [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]}
NORMAL, CONTROL = 1, 3  # token types of GGUF


def read(path: Path):
    """Returns a function that gives a value of the file's tokenizer by name."""
    fields = GGUFReader(path).fields
    return lambda name: fields[f"tokenizer.ggml.{name}"].contents()


def tokenizer(of) -> Tokenizer:
    """Builds a byte-level BPE tokenizer from what the file says of it."""
    if of("model") != "gpt2" or of("pre") not in STEPS:
        raise SystemExit(f"checkpoint: the tokenizer is {of('model')} with {of('pre')}: want gpt2 with {', '.join(STEPS)}")
    tokens, types = of("tokens"), of("token_type")
    if unknown := set(types) - {NORMAL, CONTROL}:
        raise SystemExit(f"checkpoint: tokens of types {sorted(unknown)}: want only {NORMAL} (normal) and {CONTROL} (control)")
    merges = [tuple(m.split(" ")) for m in of("merges")]
    t = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    t.pre_tokenizer = pre_tokenizers.Sequence(STEPS[of("pre")]())
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([token for token, type in zip(tokens, types) if type == CONTROL])
    if t.get_vocab_size() != len(tokens):
        raise SystemExit(f"checkpoint: {t.get_vocab_size()} tokens after the special ones were added: want the file's {len(tokens)}")
    return t


def settings(of) -> dict:
    """Returns tokenizer_config.json: which tokens begin, end and fill a text."""
    tokens = of("tokens")
    return {
        "tokenizer_class": "GPT2Tokenizer",
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
