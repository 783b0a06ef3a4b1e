#!/usr/bin/env python3
"""Compares onnx-inject with the real TransformerLens and with the formulas in double precision; see run.sh."""

import argparse
import csv
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

import model as gpt2
from references import ENCODINGS, Formulas, TransformerLens
from subject import OnnxInject

EVERY = 13  # run is asked for one cell in so many: each is a process of its own
REPEATED = "New York New York"  # a memory whose tokens repeat: each counts once
LIMIT = 1e-5  # of log p, and of a vector's entries relative to its largest


class Worst:
    """The largest difference of a kind, and where it was."""

    def __init__(self):
        self.value, self.where, self.count = 0.0, "", 0

    def see(self, value, where):
        self.count += 1
        if not np.isnan(self.value) and not value <= self.value:  # a NaN is the worst there is
            self.value, self.where = float(value), where

    def line(self, what):
        mark = "ok  " if self.count and self.value <= LIMIT else "FAIL"
        return f"{mark} {what:<58} {self.value:9.2e}  of {self.count} ({self.where or 'nothing compared'})"

    def good(self):
        return self.count > 0 and self.value <= LIMIT


def rows_of(path, n):
    """n rows spread over the file (all of them for 0), those with odd white space first: strings go in verbatim."""
    with open(path, newline="", encoding="utf-8-sig") as f:
        rows = list(csv.DictReader(f))
    if n == 0 or n >= len(rows):
        return rows
    odd = [i for i, r in enumerate(rows) if any(v != " ".join(v.split()) for v in r.values())][: n // 4]
    spread = [i for i in np.linspace(0, len(rows) - 1, n).astype(int) if i not in odd]
    return [rows[i] for i in sorted(odd + spread[: n - len(odd)])]


def vectors(lens, formulas, subject, rows, worst):
    print(f"\nmemory vectors: largest entry, then the differences relative to it\n{'memory':<34}{'encoding':<12}{'layer':>5}"
          f"{'largest':>10}{'TL-formula':>12}{'ours-TL':>12}{'ours-formula':>14}")
    for i, memory in enumerate([REPEATED] + [row["explicit_entity"] for row in rows]):
        layer = i % gpt2.LAYERS
        for encoding in ENCODINGS:
            a = lens.vector(memory, encoding, layer).double().numpy()
            b = formulas.vector(memory, encoding, layer).numpy()
            big = np.abs(b).max()
            diffs = {"TL-formula": np.abs(a - b).max() / big}
            if subject:
                c = subject.vector(memory, encoding, layer)
                diffs |= {"ours-TL": np.abs(c - a).max() / big, "ours-formula": np.abs(c - b).max() / big}
            for pair, d in diffs.items():
                worst["vector", encoding, pair].see(d, f"{memory!r} layer {layer}")
            if i < 2 * gpt2.LAYERS:
                at = layer if encoding == "layer" else ""
                print(f"{memory[:32]:<34}{encoding:<12}{at:>5}{big:>10.4f}" + "".join(f"{d:>12.1e}" for d in diffs.values()))


def cells(lens, formulas, subject, rows, taus, work, whole, worst):
    print(f"\nlog p of the answer, one cell in {EVERY}\n{'prompt':<44}{'encoding':<9}{'layer':>5}{'tau':>5}"
          f"{'TransformerLens':>17}{'float64':>13}{'run' if subject else '':>13}{'eval' if whole else '':>13}")
    data = work / "data.csv"
    with open(data, "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, rows[0].keys())
        out.writeheader()
        out.writerows(rows)
    shutil.rmtree(work / "eval", ignore_errors=True)
    for encoding in ENCODINGS:
        n = 0
        ours = subject.eval(data, work / "eval" / encoding, encoding, taus) if whole else {}
        for p, row in enumerate(rows):
            prompt, memory, answer = row["obscure_sentence"], row["explicit_entity"], row["answer"]
            for layer in range(gpt2.LAYERS):
                a = lens.injected(prompt, answer, layer, taus, lens.vector(memory, encoding, layer))
                b = formulas.injected(prompt, answer, layer, taus, formulas.vector(memory, encoding, layer))
                for tau, x, y in zip(taus, a, b):
                    where = f"{prompt!r} layer {layer} tau {tau:g}"
                    worst["cell", encoding, "TL-formula"].see(abs(x - y), where)
                    shown = n % EVERY == 0
                    n += 1
                    line = f"{prompt[-42:]:<44}{encoding:<9}{layer:>5}{tau:>5g}{x:>17.7f}{y:>13.7f}"
                    if subject and shown:
                        token, clean, z = subject.run(prompt, memory, answer, encoding, layer, tau)
                        if token != lens.answer(answer):
                            raise SystemExit(f"answer {answer!r}: TransformerLens takes token {lens.answer(answer)}, run takes {token}")
                        worst["run", encoding, "ours-TL"].see(abs(z - x), where)
                        worst["run", encoding, "ours-formula"].see(abs(z - y), where)
                        worst["run", "clean", "ours-formula"].see(abs(clean - formulas.clean(prompt, answer)), where)
                        line += f"{z:>13.7f}"
                    if whole:
                        z = ours.get((p, layer, tau), np.nan)
                        worst["eval", encoding, "ours-TL"].see(abs(z - x), where)
                        worst["eval", encoding, "ours-formula"].see(abs(z - y), where)
                        line += f"{z:>13.7f}"
                    if shown:
                        print(line)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--binary", required=True)
    ap.add_argument("--data", required=True)
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--prompts", type=int, default=24, help="how many prompts of the file, 0 for all")
    ap.add_argument("--taus", default="1,3,15", type=lambda s: [float(t) for t in s.split(",")])
    ap.add_argument("--rebuild", action="store_true", help="make the model again")
    ap.add_argument("--eval", action="store_true", help="compare every cell through the eval verb too")
    ap.add_argument("--references-only", action="store_true", help="leave onnx-inject out: do the references agree?")
    a = ap.parse_args()

    torch.set_grad_enabled(False)
    torch.set_num_threads(1)  # the model is small, and PyTorch's threads wait for each other on a busy machine
    work = a.work.resolve()
    folder = gpt2.folder(work, a.rebuild)
    hf, tokenizer = gpt2.load(folder)
    lens, formulas = TransformerLens(folder, hf, tokenizer), Formulas(hf, tokenizer)
    subject = None if a.references_only else OnnxInject(str(Path(a.binary).resolve()), folder)
    rows = rows_of(a.data, a.prompts)

    pairs = ["TL-formula"] + ([] if a.references_only else ["ours-TL", "ours-formula"])
    keys = [("vector", e, p) for e in ENCODINGS for p in pairs] + [("cell", e, pairs[0]) for e in ENCODINGS]
    if subject:
        keys += [("run", e, p) for e in ENCODINGS for p in pairs[1:]] + [("run", "clean", "ours-formula")]
    if subject and a.eval:
        keys += [("eval", e, p) for e in ENCODINGS for p in pairs[1:]]
    worst = {k: Worst() for k in keys}

    print(f"GPT-2, random weights: {gpt2.LAYERS} layers, {gpt2.HEADS} heads, d_model {gpt2.D_MODEL}, vocabulary {gpt2.VOCAB}; "
          f"{len(rows)} prompts of {a.data}, taus {', '.join(f'{t:g}' for t in a.taus)}")
    vectors(lens, formulas, subject, rows, worst)
    cells(lens, formulas, subject, rows, a.taus, work, subject and a.eval, worst)

    print(f"\nworst differences, limit {LIMIT:g}")
    print("\n".join(worst[k].line(f"{k[0]:<7} {k[1]:<8} {k[2]}") for k in keys))
    bad = [k for k in keys if not worst[k].good()]
    print(f"{'parity holds' if not bad else f'{len(bad)} of {len(keys)} comparisons fail'}"
          f"{'' if subject else ' between the references; onnx-inject was not asked'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
