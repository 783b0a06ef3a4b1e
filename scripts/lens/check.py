#!/usr/bin/env python3
"""Compares onnx-inject lens with TransformerLens, for every head and norm; see run.sh.

How TransformerLens computes each norm:
    tl      the paper's processing (everything folded and centred): stack_head_results · W_U + b_U
    final   norms folded, value biases not folded: apply_ln_to_stack(stack_head_results) · W_U
    raw     no processing: stack_head_results · W_U + b_U
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="disabled")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))

import torch

import model as gpt2

LIMIT = 1e-5  # for logits and log-probabilities, relative to the head's largest logit and at least 1
TOP = 200  # as in the paper

PROCESSING = {
    "tl": dict(fold_ln=True, center_writing_weights=True, center_unembed=True, fold_value_biases=True),
    "final": dict(fold_ln=True, center_writing_weights=True, center_unembed=False, fold_value_biases=False),
    "raw": dict(fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False),
}
PAIRS = [  # one hop, two hops, missing hop
    ("The Great Barrier Reef is located off the coast of", "The largest coral reef system in the world is located off the coast of", "The Great Barrier Reef"),
    ("George Washington fought in the", "The first president of the United States fought in the", "George Washington"),
    ("New York is in ", "The city that never sleeps is in ", " New York"),
]


class TransformerLens:
    def __init__(self, folder, hf, tokenizer, norm):
        from transformer_lens import HookedTransformer

        here = os.getcwd()
        os.chdir(folder.parent)  # the folder's name is the model's name, see parity/model.py
        try:
            self.model = HookedTransformer.from_pretrained(folder.name, hf_model=hf, tokenizer=tokenizer, device="cpu", **PROCESSING[norm])
        finally:
            os.chdir(here)
        self.model.set_use_attn_result(True)
        self.norm = norm

    def logits(self, prompt, bos):
        """[layer * head, vocabulary] at the last position, in float64 after the heads."""
        tokens = self.model.to_tokens(prompt, prepend_bos=bos)
        _, cache = self.model.run_with_cache(tokens)
        heads = cache.stack_head_results(layer=-1, pos_slice=-1)
        if self.norm == "final":
            heads = cache.apply_ln_to_stack(heads, layer=-1, pos_slice=-1)
        out = heads[:, 0].double() @ self.model.W_U.double()
        return (out if self.norm == "final" else out + self.model.b_U.double()), tokens[0].tolist()


def ours(binary, folder, prompt, against, entity, norm, bos):
    args = [binary, "lens", str(folder), "--json", "--prompt", prompt, "--against", against, "--entity", entity,
            "--norm", norm, "--top", str(TOP), f"--prompt-bos={str(bos).lower()}"]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(args)}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def compare(head, want, worst):
    """One head: its top tokens and the entity's, against all logits of the reference."""
    size = max(1.0, float(want.abs().max()))
    logp = want.log_softmax(-1)
    for t in head["top"] + head["entity"]["tokens"]:
        worst["logit"] = max(worst["logit"], abs(t["logit"] - float(want[t["id"]])) / size)
        worst["log p"] = max(worst["log p"], abs(t["logp"] - float(logp[t["id"]])) / size)
    # a token must have the same rank as in the reference, except for tokens that are closer to it than the limit
    for place, t in [(i, t) for i, t in enumerate(head["top"])] + [(t["rank"], t) for t in head["entity"]["tokens"]]:
        own = want[t["id"]]
        least, most = int((want > own + LIMIT * size).sum()), int((want > own - LIMIT * size).sum())
        worst["misplaced"] += not least <= place <= most
        worst["tokens"] += 1


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--binary", required=True)
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--rebuild", action="store_true", help="rebuild the model")
    a = ap.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    folder = gpt2.folder(a.work.resolve(), a.rebuild)
    hf, tokenizer = gpt2.load(folder)
    print(f"GPT-2, random weights: {gpt2.LAYERS} layers, {gpt2.HEADS} heads, d_model {gpt2.D_MODEL}, vocabulary {gpt2.VOCAB}; top {TOP} tokens of each head")
    print(f"{'norm':<7}{'bos':<7}{'logit':>10}{'log p':>10}{'misplaced':>11}{'of':>8}   limit {LIMIT:g} of the head's largest logit")
    bad = False
    for norm in PROCESSING:
        reference = TransformerLens(folder, hf, tokenizer, norm)
        for bos in (True, False):
            worst = {"logit": 0.0, "log p": 0.0, "misplaced": 0, "tokens": 0}
            for one, two, entity in PAIRS:
                got = ours(a.binary, folder, one, two, entity, norm, bos)
                for view, prompt in zip(got["prompts"], (one, two), strict=True):
                    want, tokens = reference.logits(prompt, bos)
                    if view["tokens"] != tokens:
                        raise SystemExit(f"{prompt!r}: TransformerLens has tokens {tokens}, lens {view['tokens']}")
                    for k, head in enumerate(view["heads"]):
                        if (head["layer"], head["head"]) != divmod(k, gpt2.HEADS):
                            raise SystemExit(f"head {head['layer']}.{head['head']} is at position {k}")
                        compare(head, want[k], worst)
            good = worst["tokens"] > 0 and worst["logit"] <= LIMIT and worst["log p"] <= LIMIT and worst["misplaced"] == 0
            bad = bad or not good
            print(f"{norm:<7}{str(bos):<7}{worst['logit']:>10.1e}{worst['log p']:>10.1e}{worst['misplaced']:>11}{worst['tokens']:>8}   {'ok' if good else 'FAIL'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
