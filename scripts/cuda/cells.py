#!/usr/bin/env python3
"""Compares the cells of two evaluations: the same keys, and log-probabilities of the answer that differ by at most LIMIT.

    cells.py FOLDER FOLDER LIMIT
"""

import csv
import math
import sys
from pathlib import Path

KEY = ["prompt", "layer", "tau", "source", "memory", "encoding"]


def read(folder):
    with (Path(folder) / "cells.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    cells = {tuple(r[k] for k in KEY): r for r in rows}
    if not rows or len(cells) != len(rows):
        sys.exit(f"{folder}: {len(rows)} rows, {len(cells)} keys")
    return cells


a, b, limit = read(sys.argv[1]), read(sys.argv[2]), float(sys.argv[3])
if a.keys() != b.keys():
    sys.exit(f"the evaluations have different cells: {len(a)} and {len(b)}, {len(a.keys() & b.keys())} in both")
difference = lambda k: abs(float(a[k]["logp_answer"]) - float(b[k]["logp_answer"]))
worst = max(a, key=lambda k: -1 if math.isnan(d := difference(k)) else d)
bad = [k for k in a if not difference(k) <= limit]  # a NaN is bad
ranks = sum(a[k]["rank"] != b[k]["rank"] for k in a)
print(f"{len(a)} cells: the largest difference of log-probabilities is {difference(worst):.2e}, {ranks} ranks differ")
if bad:
    sys.exit(f"{len(bad)} cells differ by more than {limit:g}, the first is {dict(zip(KEY, bad[0]))}")
