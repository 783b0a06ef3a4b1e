#!/usr/bin/env python3
"""Computes in PyTorch what the built-in model answers when the state of a name replaces that of a description's last token; see run.sh.

For a prompt of models/demo/prompts.csv, the name alone runs after the beginning-of-text token. Its state at the last token replaces the state of
the last token of the description in the two-hop prompt, by a hook, in double precision. The file models/testdata/interventions/entity.json holds the
log-probability of the answer's first token without and with it. Tokens and their characters are those of transformers' own tokenizer.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import torch
import transformers as hf

import decoders
from decoders import Change, Decoder

DEMO = Path(__file__).resolve().parents[2] / "models/demo"
OUT = DEMO.parent / "testdata/interventions/entity.json"
EVERY = 18  # one of so many of the 216 prompts
PLACES = (("resid_pre", 0), ("resid_post", 0), ("resid_post", 1), ("resid_post", 3))
DIGITS = 8

config = hf.GPT2Config.from_pretrained(DEMO)
decoders.FAMILIES["demo"] = ("model.onnx", decoders.Family(lambda r: hf.GPT2LMHeadModel(config), **decoders.GPT2))


class Reference:
    def __init__(self):
        self.tokenizer = hf.GPT2TokenizerFast(str(DEMO / "vocab.json"), str(DEMO / "merges.txt"))
        self.bos = config.bos_token_id
        self.decoder = Decoder("demo", {"layers": config.n_layer, "heads": config.n_head}, DEMO)

    def ids(self, text):
        return torch.tensor([[self.bos, *self.tokenizer(text)["input_ids"]]])

    def last_token(self, prompt, phrase):
        """Returns the position of the token with the last character of a phrase, the beginning-of-text token counted."""
        if prompt.count(phrase) != 1:
            raise ValueError(f"{prompt!r}: want {phrase!r} once")
        last = prompt.index(phrase) + len(phrase) - 1
        offsets = self.tokenizer(prompt, return_offsets_mapping=True)["offset_mapping"]
        return 1 + next(i for i, (start, end) in enumerate(offsets) if start <= last < end)

    def cells(self, row):
        prompt = self.ids(row["obscure_sentence"])
        at = self.last_token(row["obscure_sentence"], row["obscure_entity"])
        answer = self.tokenizer(" " + row["answer"])["input_ids"][0]
        here = torch.zeros(1, prompt.shape[1], 1)
        here[:, at] = 1
        _, name = self.decoder.run(self.ids(row["explicit_entity"]))
        logp = lambda changes: self.decoder.run(prompt, changes)[0][0, -1].log_softmax(-1)[answer].item()
        put = lambda site, layer: Change(1 - here, here, name[decoders.hook_name(site, layer)][:, -1:])
        return {"prompt": row["obscure_sentence"], "name": row["explicit_entity"], "for": row["obscure_entity"], "answer": row["answer"],
                "ids": prompt[0].tolist(), "position": at, "token": answer, "clean": round(logp({}), DIGITS),
                "injected": [round(logp({place: put(*place)}), DIGITS) for place in PLACES]}


def main():
    parser = argparse.ArgumentParser(description="References of names in place of descriptions.")
    parser.add_argument("--write", action="store_true", help="store the references")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)  # the model is small
    reference = Reference()
    rows = list(csv.DictReader((DEMO / "prompts.csv").open()))[::EVERY]
    cells = [reference.cells(row) for row in rows]
    computed = {"places": [{"site": site, "layer": layer} for site, layer in PLACES], "cells": cells}
    compact = lambda v: json.dumps(v, separators=(",", ":"), ensure_ascii=False)
    if args.write:
        OUT.write_text(f'{{"places":{compact(computed["places"])},\n"cells":[\n' + ",\n".join(map(compact, cells)) + "\n]}\n")
    stored = json.loads(OUT.read_text())
    numbers = lambda v: [x for cell in v["cells"] for x in (cell["clean"], *cell["injected"])]
    texts = lambda v: [v["places"], [{**cell, "clean": None, "injected": None} for cell in v["cells"]]]
    worst = max(abs(a - b) for a, b in zip(numbers(stored), numbers(computed), strict=True)) if texts(stored) == texts(computed) else float("inf")
    good = worst <= 2 * 10**-DIGITS
    print(f"{'ok' if good else 'FAILED':<8}{'entity':<14}{len(cells)} prompts, {len(PLACES)} places, stored within {worst:.1e}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
