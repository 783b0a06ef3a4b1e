#!/usr/bin/env python3
"""Compares memory vectors and log-probabilities with the real TransformerLens on families beyond GPT-2; see run.sh.

Each family is a small model with random weights and GPT-2's vocabulary, exported by optimum. TransformerLens loads the same weights and
folds them. The families differ in what the vectors depend on: the kind of norm, its gain, what embeddings and logits are multiplied by,
whether W_U is tied, the biases, the soft cap, norms after attention.
"""

import argparse
import logging
import os
import shutil
import sys
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="disabled")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy as np
import torch
import transformers as hf
from transformers import AutoModelForCausalLM, GPT2TokenizerFast

import model as gpt2
from parity import LIMITS, REPEATED, WITH_LENS, Worst
from references import ENCODINGS, TransformerLens
from subject import OnnxInject

MEMORIES = (REPEATED, "Australia", " the Great Barrier Reef")
PROMPT, ANSWER, TAU = "The largest coral reef system in the world is located off the coast of", "Australia", 3
SIZE = dict(vocab_size=gpt2.VOCAB, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, max_position_embeddings=64)
TOKENS = dict(bos_token_id=gpt2.VOCAB - 1, eos_token_id=gpt2.VOCAB - 1, pad_token_id=None)

FAMILIES = {
    # RMSNorm, W_U of its own, fewer key and value heads
    "llama": lambda: hf.LlamaConfig(**SIZE, **TOKENS, num_key_value_heads=2, tie_word_embeddings=False),
    # the same, tied, biases on q, k and v
    "qwen2": lambda: hf.Qwen2Config(**SIZE, **TOKENS, num_key_value_heads=2, tie_word_embeddings=True),
    # a gain of 1 + w, embeddings times the root of the width, a norm after attention, logits capped softly
    "gemma2": lambda: hf.Gemma2Config(**SIZE, **TOKENS, num_key_value_heads=2, head_dim=32, query_pre_attn_scalar=32, attn_logit_softcapping=None,
                                      final_logit_softcapping=30.0, sliding_window=64),
    # LayerNorm, parallel blocks, W_U of its own
    "neox": lambda: hf.GPTNeoXConfig(**SIZE, **TOKENS, tie_word_embeddings=False),
    # LayerNorm, parallel blocks, a bias of the unembedding
    "phi": lambda: hf.PhiConfig(**SIZE, **TOKENS, tie_word_embeddings=False),
    # LayerNorm, a norm after the embedding, ALiBi
    "bloom": lambda: hf.BloomConfig(vocab_size=gpt2.VOCAB, hidden_size=64, n_layer=3, n_head=4, **TOKENS),
}

# The name by which TransformerLens takes the architecture from config.json. Of the others it knows the published sizes alone.
KNOWN = {"qwen2": "Qwen/Qwen2-0.5B", "neox": "EleutherAI/gpt-neox-20b", "phi": "microsoft/phi-2", "bloom": "bigscience/bloom-560m"}


def random_model(config):
    """Weights as large as trained ones, and no bias and no gain that is trivial."""
    torch.manual_seed(20240219)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name or "ln_" in name:
                p.normal_(1 if name.endswith("weight") and config.model_type != "gemma2" else 0, 0.3)
            elif name.endswith("bias"):
                p.normal_(0, 0.2)
            elif p.shape[0] == gpt2.VOCAB:
                p.normal_(0, 0.2).add_(0.05 * torch.randn(p.shape[1]))  # a common direction: its mean over tokens counts
            else:
                p.normal_(0, p.shape[1] ** -0.5)
    return model


def folder(work, name, rebuild):
    """Returns the folder of a family's file, building it when it is not there."""
    out = work / "families" / name
    if rebuild:
        shutil.rmtree(out, ignore_errors=True)
    if not (out / "model.onnx").exists():
        half = work / "families" / f"{name}.half"
        shutil.rmtree(half, ignore_errors=True)
        random_model(FAMILIES[name]()).save_pretrained(half / "checkpoint")
        gpt2.vocabulary(half / "checkpoint")
        gpt2.export(half / "checkpoint", half)
        half.rename(out)
    return out


class Lens(TransformerLens):
    """The weights of a checkpoint in TransformerLens, folded; a memory is added to what attention adds to the stream."""

    def __init__(self, family, checkpoint):
        model = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager").eval()
        tokenizer = GPT2TokenizerFast.from_pretrained(checkpoint)
        if family in KNOWN:
            link = checkpoint.parent / KNOWN[family]
            link.parent.mkdir(exist_ok=True)
            if not link.exists():
                link.symlink_to(checkpoint)
            self.model = self.load(checkpoint.parent, KNOWN[family], model, tokenizer)
        else:
            self.model = by_hand(model, tokenizer)

    def edited(self, prompt, layer, tau, vector):
        def hook(out, hook):
            return out + tau * vector

        return self.model.run_with_hooks(prompt, fwd_hooks=[(f"blocks.{layer}.hook_attn_out", hook)])


def by_hand(model, tokenizer):
    """What from_pretrained does with a Llama or a Gemma 2. It does not centre W_U where logits are capped softly."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gemma_weights, convert_llama_weights

    c = model.config
    d_head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    if gemma := c.model_type == "gemma2":
        own = dict(act_fn="gelu_pytorch_tanh", output_logits_soft_cap=c.final_logit_softcapping, use_normalization_before_and_after=True)
    else:
        own = dict(act_fn="silu")
    cfg = HookedTransformerConfig(
        d_model=c.hidden_size, d_head=d_head, n_heads=c.num_attention_heads, n_key_value_heads=c.num_key_value_heads, n_layers=c.num_hidden_layers,
        d_mlp=c.intermediate_size, n_ctx=c.max_position_embeddings, d_vocab=c.vocab_size, eps=c.rms_norm_eps, normalization_type="RMS",
        positional_embedding_type="rotary", rotary_base=10000, rotary_dim=d_head, rotary_adjacent_pairs=False, gated_mlp=True, final_rms=True,
        default_prepend_bos=True, device="cpu", **own,
    )
    lens = HookedTransformer(cfg, tokenizer=tokenizer)
    weights = (convert_gemma_weights if gemma else convert_llama_weights)(model, cfg)
    lens.load_and_process_state_dict(weights, fold_ln=True, center_writing_weights=True, center_unembed=cfg.output_logits_soft_cap <= 0)
    return lens


def check(name, work, binary, rebuild):
    """Compares on one family and returns how many comparisons fail."""
    at = folder(work, name, rebuild)
    lens, subject = Lens(name, at / "checkpoint"), OnnxInject(binary, at)
    layers = lens.model.cfg.n_layers
    vectors = {e: Worst(LIMITS["vector"]) for e in ENCODINGS}
    runs = {what: Worst(WITH_LENS) for what in ("clean", *ENCODINGS)}
    answer = lens.answer(ANSWER)
    clean = lens.clean(PROMPT)[answer]
    for encoding in ENCODINGS:
        for i, memory in enumerate(MEMORIES):
            for layer in range(layers) if encoding == "layer" else [i % layers]:
                a, b = lens.vector(memory, encoding, layer).detach(), subject.vector(memory, encoding, layer)
                x = a.double().numpy()
                vectors[encoding].see(np.abs(x - b).max() / np.abs(x).max(), f"{memory!r} layer {layer}")
        layer = layers - 2
        vector = lens.vector(MEMORIES[1], encoding, layer)
        token, before, after = subject.run(PROMPT, MEMORIES[1], ANSWER, encoding, layer, TAU)
        if token != answer:
            raise SystemExit(f"answer {ANSWER!r}: TransformerLens takes token {answer}, run takes {token}")
        runs["clean"].see(abs(before - clean), PROMPT)
        injected = lens.injected(PROMPT, layer, [TAU], vector)[0, answer]
        runs[encoding].see(abs(after - injected), f"layer {layer} tau {TAU}: {injected:.4f}, clean {clean:.4f}")
    lines = [(f"{name:<7} vector {e}", w) for e, w in vectors.items()] + [(f"{name:<7} log p  {e}", w) for e, w in runs.items()]
    for what, w in lines:
        print(w.line(what))
    return sum(not w.good() for _, w in lines)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--binary", required=True)
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--only", choices=FAMILIES, action="append", help="this family and not all")
    ap.add_argument("--rebuild", action="store_true", help="make the models again")
    a = ap.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    work = a.work.resolve()
    bad = sum(check(name, work, a.binary, a.rebuild) for name in a.only or FAMILIES)
    print(f"\n{bad} of the comparisons are over their limit" if bad else "\nall agree")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
