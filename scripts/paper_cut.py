#!/usr/bin/env python3
"""Reduces the paper's published files to the data for the tests.

usage: paper_cut.py FROM TO

FROM contains the authors' data files, their LICENSE, and their results in published/FOLDER/…, with the folder names used below.
TO receives the same files without published/. Probabilities are written with 9 digits, which determine a float32.
"""

import csv
import re
import shutil
import sys
from pathlib import Path

TEXTS = ["explicit_sentence", "obscure_sentence", "explicit_entity", "obscure_entity", "answer"]
CLEAN = ["answer_prob_exp", "answer_prob_obs"]
PROBABILITY = r"ans_prob_obs_edit_\w.*|answer_prob_\w+"

# Files, and the columns of results to keep in addition to the row number, the texts and the clean probabilities.
RESULTS = [
    ("gpt2-small-hand/*/tweak_3.csv", r"ans_prob_obs_edit_layer\d+|topk_tok_obs_edit_layer[79]"),
    ("gpt2-small-hand/*/tweak_*.csv", r"ans_prob_obs_edit_layer\d+"),
    ("gpt2-small-hand-random/*.csv", r"ans_prob_obs_edit_subject_.+"),
    ("gpt2-small-hand-drawn-nouns/*_tweakFactor_[12].csv", r"ans_prob_obs_edit_layer\d+|injected_memory_layer_\d+"),
    ("gpt2-small-2wmh/*/tweak_5.csv", r"ans_prob_obs_edit_layer[67]"),
]
WITHOUT_TEXTS = "gpt2-small-2wmh"  # its sentences come from another data set
DRAWN = "gpt2-small-hand-drawn-nouns"


def read(path):
    with open(path, newline="", encoding="utf-8-sig") as f:
        rows = list(csv.reader(f))
    return rows[0], rows[1:]


def write(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as f:
        csv.writer(f, lineterminator="\n").writerows([header, *rows])


def cut(column, text, blank):
    if blank and column in TEXTS:
        return ""
    return f"{float(text):.9g}" if text and re.fullmatch(PROBABILITY, column) else text


def cut_results(source, target):
    done, drawn = set(), set()
    for pattern, extra in RESULTS:
        for path in sorted((source / "published").glob(pattern)):
            if path in done:
                continue
            done.add(path)
            header, rows = read(path)
            keep = [i for i, c in enumerate(header) if c == "" or c in TEXTS or c in CLEAN or re.fullmatch(extra, c)]
            blank = WITHOUT_TEXTS in path.parts
            write(target / path.relative_to(source / "published"), [header[i] for i in keep], [[cut(header[i], r[i], blank) for i in keep] for r in rows])
            if DRAWN in path.parts:
                drawn |= {r[i] for r in rows for i, c in enumerate(header) if c.startswith("injected_memory")}
    return drawn


def cut_nouns(source, target, drawn):
    """Keeps the drawn nouns and the positions of all nouns, because a draw depends on the number of nouns."""
    header, rows = read(source / "top_word_types.csv")
    nouns = [r[header.index("Nouns")] for r in rows]
    write(target / "top_word_types.csv", ["Nouns"], [[n if n in drawn else "-"] for n in nouns if n])


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: paper_cut.py FROM TO")
    source, target = map(Path, sys.argv[1:])
    drawn = cut_results(source, target)
    if not drawn:
        sys.exit(f"paper_cut.py: {source}/published has no {DRAWN}/")
    cut_nouns(source, target, drawn)
    for name in ("LICENSE", "handwritten_obscure_explicit_data.csv"):
        shutil.copyfile(source / name, target / name)


main()
