#!/usr/bin/env python3
"""Computes which tokens transformers' logits processors leave, and how likely they are; see run.sh.

The processors are made by transformers itself from a generation configuration, so their order is its own. Without --write the result is
compared with what is stored.
"""

import argparse
import json
import random
import sys
from pathlib import Path

import torch
import transformers as hf

STORED = Path(__file__).resolve().parents[2] / "runtime/generate/testdata/sampling.json"


def processors(model, **settings):
    config = hf.GenerationConfig(do_sample=True, **settings)
    return model._get_logits_processor(generation_config=config, input_ids_seq_length=3, device="cpu", model_kwargs={})


def cases():
    random.seed(20240706)
    for i in range(60):
        size = random.choice([5, 20, 50])
        yield {
            "logits": [round(random.gauss(0, 3), 3) for _ in range(size)], "prompt": random.sample(range(size), 3),
            "repetition_penalty": random.choice([1.0, 1.3, 0.7, 2.0]), "temperature": random.choice([1.0, 0.5, 0.9, 1.7]),
            "top_k": random.choice([0, 0, 1, 3, 10, 100]), "top_p": random.choice([1.0, 1.0, 0.9, 0.5, 0.1, 0.99]), "min_p": random.choice([0.0, 0.0, 0.05, 0.2, 1.0]),
        }
    yield dict(logits=[1.0, 3.0, 3.0, 2.0, 3.0], prompt=[0, 1, 3], repetition_penalty=1.0, temperature=1.0, top_k=2, top_p=1.0, min_p=0.0)  # equal logits at the limit


def main():
    parser = argparse.ArgumentParser(description="References of sampling.")
    parser.add_argument("--write", action="store_true", help="store the references")
    write = parser.parse_args().write
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=64, n_positions=8, n_embd=8, n_layer=1, n_head=1))
    computed = []
    for case in cases():
        settings = {k: v for k, v in case.items() if k not in ("logits", "prompt")}
        ids, logits = torch.tensor([case["prompt"]]), torch.tensor([case["logits"]])
        p = processors(model, **settings)(ids, logits.clone())[0].double().softmax(-1)
        greedy = processors(model, repetition_penalty=case["repetition_penalty"])(ids, logits.clone())[0].argmax().item()
        computed.append(case | {"want": {str(i): round(x, 9) for i, x in enumerate(p.tolist()) if x > 0}, "greedy": greedy})
    if write:
        STORED.parent.mkdir(exist_ok=True)
        STORED.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in computed) + "\n]\n")
    stored = json.loads(STORED.read_text()) if STORED.exists() else None
    print(f"{'ok' if stored == computed else 'FAILED'}  {len(computed)} cases of sampling")
    sys.exit(stored != computed)


if __name__ == "__main__":
    main()
