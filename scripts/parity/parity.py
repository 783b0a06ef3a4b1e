#!/usr/bin/env python3
"""Compares onnx-inject with TransformerLens and with the formulas in double precision; see run.sh."""

import argparse
import csv
import logging
import math
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
from subject import MISSING, OnnxInject

PLANS = ("fanout", "rows", "points")
TOP = 5  # tokens that eval lists in each row
RUNS = 24  # cells of each encoding for the run command; each is a separate process
REPEATED = "New York New York"  # a memory whose tokens repeat: each counts once

# For a vector's entries relative to its largest entry, and for log p. TransformerLens also computes in float32, so its own rounding
# is part of the comparison; rounding grows with the size of the logits.
LIMITS = {"vector": 1e-5, "cell": 1e-5, "run": 1e-5, "eval": 1e-5, "rank": 1e-5, "top": 1e-5, "plans": 1e-5}
WITH_LENS = 3e-5


class Worst:
    """The largest difference of a kind, and its place."""

    def __init__(self, limit):
        self.value, self.where, self.count, self.limit = 0.0, "", 0, limit

    def see(self, value, where):
        self.count += 1
        if not np.isnan(self.value) and not value <= self.value:  # NaN counts as the largest difference
            self.value, self.where = float(value), where

    def line(self, what):
        mark = "ok  " if self.good() else "FAIL"
        return f"{mark} {what:<40} {self.value:9.2e} <= {self.limit:<7g} of {self.count} ({self.where or 'nothing compared' if not self.count else self.where or 'all equal'})"

    def good(self):
        return self.count > 0 and self.value <= self.limit


class Differences:
    """The largest difference of each kind; kinds are (what, encoding, pair)."""

    def __init__(self, sharpness):
        self.sharpness, self.kinds = sharpness, {}

    def want(self, what, encoding, pair):
        limit = WITH_LENS if what != "vector" and "TL" in pair else LIMITS[what]
        self.kinds[what, encoding, pair] = Worst(limit * self.sharpness)

    def see(self, what, encoding, pair, value, where):
        self.kinds[what, encoding, pair].see(value, where)

    def report(self):
        """Prints every kind and returns the number of kinds over their limit."""
        print("\nworst differences")
        for k, w in self.kinds.items():
            print(w.line(f"{k[0]:<7} {k[1]:<8} {k[2]}"))
        return sum(not w.good() for w in self.kinds.values())


def rows_of(path, n):
    """n rows spread over the file (all rows for 0), rows with unusual white space first, because strings are used verbatim."""
    with open(path, newline="", encoding="utf-8-sig") as f:
        rows = list(csv.DictReader(f))
    if n == 0 or n >= len(rows):
        return rows
    odd = [i for i, r in enumerate(rows) if any(v != " ".join(v.split()) for v in r.values())][: n // 4]
    spread = [i for i in np.linspace(0, len(rows) - 1, n).astype(int) if i not in odd]
    return [rows[i] for i in sorted(odd + spread[: n - len(odd)])]


def vectors(lens, formulas, subject, rows, layers, worst):
    print(f"\nmemory vectors: largest entry, then the differences relative to it\n{'memory':<34}{'encoding':<12}{'layer':>5}"
          f"{'largest':>10}{'TL-formula':>12}{'ours-TL':>12}{'ours-formula':>14}")
    for i, memory in enumerate([REPEATED] + [row["explicit_entity"] for row in rows]):
        layer = i % layers
        for encoding in ENCODINGS:
            a = lens.vector(memory, encoding, layer).double().numpy()
            b = formulas.vector(memory, encoding, layer).numpy()
            big = np.abs(b).max()
            diffs = {"TL-formula": np.abs(a - b).max() / big}
            if subject:
                c = subject.vector(memory, encoding, layer)
                diffs |= {"ours-TL": np.abs(c - a).max() / big, "ours-formula": np.abs(c - b).max() / big}
            for pair, d in diffs.items():
                worst.see("vector", encoding, pair, d, f"{memory!r} layer {layer}")
            if i < 2 * layers:
                at = layer if encoding == "layer" else ""
                print(f"{memory[:32]:<34}{encoding:<12}{at:>5}{big:>10.4f}" + "".join(f"{d:>12.1e}" for d in diffs.values()))


def cells(lens, formulas, subject, rows, taus, layers, work, runs, worst):
    every = max(1, len(rows) * layers * len(taus) // RUNS)
    while math.gcd(every, layers * len(taus)) > 1:  # so that layers and taus alternate
        every += 1
    print(f"\nlog p of the answer, one cell in {every}\n{'prompt':<44}{'encoding':<9}{'layer':>5}{'tau':>5}"
          f"{'TransformerLens':>17}{'float64':>13}" + (f"{'fanout':>13}" if subject else "") + (f"{'run':>13}" if runs else ""))
    data = work / "data.csv"
    with open(data, "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, rows[0].keys())
        out.writeheader()
        out.writerows(rows)
    shutil.rmtree(work / "eval", ignore_errors=True)
    for encoding in ENCODINGS:
        n = 0
        ours = {plan: subject.eval(data, work / "eval" / encoding / plan, encoding, plan, taus, TOP) for plan in PLANS} if subject else {}
        for p, row in enumerate(rows):
            prompt, memory = row["obscure_sentence"], row["explicit_entity"]
            answer = lens.answer(row["answer"])
            if formulas.answer(row["answer"]) != answer:
                raise SystemExit(f"answer {row['answer']!r}: the references use different tokens")
            for layer in range(layers):
                a = lens.injected(prompt, layer, taus, lens.vector(memory, encoding, layer))
                b = formulas.injected(prompt, layer, taus, formulas.vector(memory, encoding, layer))
                falling = -np.sort(-b, -1)
                for k, tau in enumerate(taus):
                    where = f"{prompt!r} layer {layer} tau {tau:g}"
                    x, y = a[k, answer], b[k, answer]
                    worst.see("cell", encoding, "TL-formula", abs(x - y), where)
                    line = f"{prompt[-42:]:<44}{encoding:<9}{layer:>5}{tau:>5g}{x:>17.7f}{y:>13.7f}"
                    if subject:
                        scores = {plan: cells.get((p, layer, tau), MISSING) for plan, cells in ours.items()}
                        for plan, s in scores.items():
                            worst.see("eval", encoding, "ours-TL", abs(s.logp - x), f"{where} {plan}")
                            worst.see("eval", encoding, "ours-formula", abs(s.logp - y), f"{where} {plan}")
                            if plan != "points":
                                worst.see("plans", encoding, f"{plan}-points", abs(s.logp - scores["points"].logp), where)
                            # tokens closer than rounding may swap: the log p at a rank is compared
                            worst.see("rank", encoding, "ours-formula", abs(falling[k, s.rank] - y), f"{where} {plan}")
                            listed = b[k, s.top] if len(set(s.top)) == TOP else np.full(TOP, np.nan)
                            worst.see("top", encoding, "ours-formula", np.abs(falling[k, :TOP] - listed).max(), f"{where} {plan}")
                        line += f"{scores['fanout'].logp:>13.7f}"
                    shown = n % every == 0
                    n += 1
                    if runs and shown:
                        token, clean, z = subject.run(prompt, memory, row["answer"], encoding, layer, tau)
                        if token != answer:
                            raise SystemExit(f"answer {row['answer']!r}: TransformerLens uses token {answer}, run uses {token}")
                        worst.see("run", encoding, "ours-TL", abs(z - x), where)
                        worst.see("run", encoding, "ours-formula", abs(z - y), where)
                        worst.see("run", "clean", "ours-formula", abs(clean - formulas.clean(prompt)[answer]), where)
                        line += f"{z:>13.7f}"
                    if shown:
                        print(line)


def check(size, work, rebuild, binary, rows, taus, everything):
    """Compares on one model and returns the number of failed comparisons; everything adds vectors and the run command."""
    work.mkdir(parents=True, exist_ok=True)
    folder = gpt2.folder(work, size, rebuild)
    hf, tokenizer = gpt2.load(folder)
    lens, formulas = TransformerLens(folder, hf, tokenizer), Formulas(hf, tokenizer)
    subject = OnnxInject(binary, folder) if binary else None
    runs = subject and everything

    worst = Differences(size.sharpness)
    pairs = ["TL-formula"] + (["ours-TL", "ours-formula"] if subject else [])
    kinds = [("vector", e, p) for e in ENCODINGS for p in pairs] if everything else []
    kinds += [("cell", e, pairs[0]) for e in ENCODINGS]
    if runs:
        kinds += [("run", e, p) for e in ENCODINGS for p in pairs[1:]] + [("run", "clean", "ours-formula")]
    if subject:
        kinds += [("eval", e, p) for e in ENCODINGS for p in pairs[1:]]
        kinds += [("plans", e, f"{p}-points") for e in ENCODINGS for p in PLANS if p != "points"]
        kinds += [(what, e, "ours-formula") for what in ("rank", "top") for e in ENCODINGS]
    for k in kinds:
        worst.want(*k)

    print(f"\n{size}; {len(rows)} prompts, taus {', '.join(f'{t:g}' for t in taus)}")
    if everything:
        vectors(lens, formulas, subject, rows, size.layers, worst)
    cells(lens, formulas, subject, rows, taus, size.layers, work, runs, worst)
    return worst.report()


def taus_of(text):
    first, _, last = text.partition(":")
    return [float(t) for t in (range(int(first), int(last) + 1) if last else text.split(","))]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--binary", required=True)
    ap.add_argument("--data", required=True)
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--prompts", type=int, default=24, help="number of prompts from the file, 0 for all")
    ap.add_argument("--taus", default="1,3,15", type=taus_of, help="such as 1,3,15 or 1:15")
    ap.add_argument("--rebuild", action="store_true", help="rebuild the models")
    ap.add_argument("--references-only", action="store_true", help="compare only the references, without onnx-inject")
    a = ap.parse_args()

    torch.set_grad_enabled(False)
    torch.set_num_threads(1)  # the models are small, and PyTorch's threads would wait for each other on a busy machine
    binary = None if a.references_only else str(Path(a.binary).resolve())
    rows = rows_of(a.data, a.prompts)
    bad = check(gpt2.PARITY, a.work.resolve(), a.rebuild, binary, rows, a.taus, everything=True)
    few = rows_of(a.data, min(a.prompts, 12) or 12)
    bad += check(gpt2.CONFIDENT, a.work.resolve() / "confident", a.rebuild, binary, few, [1, 3, 15], everything=False)
    print(f"\n{'parity holds' if not bad else f'{bad} comparisons fail'}"
          f"{'' if binary else ' between the references; onnx-inject was not run'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
