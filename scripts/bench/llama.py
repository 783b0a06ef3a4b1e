"""A Llama of SmolLM2-135M's size with random weights, in a folder as optimum writes it.

The real file is not used, because times do not depend on the values of weights. Its tokenizer is GPT-2's, cut to the 49,152
entries of SmolLM2's vocabulary: a byte-level BPE, as SmolLM2's is, in which the words of the prompts are one token each.
"""

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))

import torch
from transformers import GPT2TokenizerFast, LlamaConfig, LlamaForCausalLM

import model as parity

END = "<|endoftext|>"
SMOLLM2 = dict(num_hidden_layers=30, hidden_size=576, num_attention_heads=9, num_key_value_heads=3, head_dim=64, intermediate_size=1536,
               vocab_size=49152, max_position_embeddings=8192, rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True)


def folder(work: Path) -> Path:
    """Returns the model folder, building it when it is not there."""
    out, half = work / "llama", work / "llama.half"
    if (out / "model.onnx").exists():
        return out
    shutil.rmtree(half, ignore_errors=True)
    checkpoint = half / "checkpoint"
    torch.manual_seed(20230912)
    end = SMOLLM2["vocab_size"] - 1
    LlamaForCausalLM(LlamaConfig(**SMOLLM2, bos_token_id=end, eos_token_id=end)).eval().save_pretrained(checkpoint)
    vocabulary(checkpoint, SMOLLM2["vocab_size"])
    parity.export(checkpoint, half)
    half.rename(out)
    return out


def vocabulary(out: Path, size: int) -> None:
    """Writes the tokenizer of GPT-2 with its rarest merges left out, so that it has this many tokens."""
    parity.vocabulary(out)
    tokens = sorted(json.loads((out / "vocab.json").read_text()).items(), key=lambda t: t[1])[: size - 1]
    (out / "vocab.json").write_text(json.dumps({**dict(tokens), END: size - 1}, ensure_ascii=False))
    head, *merges = (out / "merges.txt").read_text().splitlines()
    (out / "merges.txt").write_text("\n".join([head, *merges[: size - 1 - 256]]) + "\n")  # each merge is a token, after 256 bytes
    tokenizer = GPT2TokenizerFast(vocab_file=str(out / "vocab.json"), merges_file=str(out / "merges.txt"))
    if len(tokenizer) != size or tokenizer.convert_tokens_to_ids(END) != size - 1:
        raise SystemExit(f"vocabulary: want {size} tokens ending in {END}, got {len(tokenizer)}")
    tokenizer.save_pretrained(out)
