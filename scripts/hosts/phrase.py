#!/usr/bin/env python3
"""Checks memories that are stored at phrases in a host: the built-in model, patched with rewrite --bake --memory --for.

With the phrase, the host must give the answer the probability that "onnx-inject run --memory --for" gives it on the original. Without it, the host's
logits for the patched file must be those for the original, bit for bit.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/conformance"))
from feeds import feeds
from host import host_of

DEMO = ROOT / "models/demo"
EVERY = 36  # one of so many of the 216 prompts
OTHERS = ["People in Japan speak", "Victoria", "The land of Falls Victoria is", "the land of the land of Mount Fuji"]
NEAR = 1e-5  # of probabilities


def call(binary, *args):
    done = subprocess.run([binary, *args], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}: {done.stderr}")
    return json.loads(done.stdout)


def logits(session, ids):
    return session.run(["logits"], feeds(session.inputs, np.array([ids]), {}))["logits"]


def check(host, binary, folder):
    """Returns the largest difference of probabilities, the smallest gain, and the texts whose logits changed."""
    worst, gain, changed = 0.0, np.inf, []
    for row in list(csv.DictReader((DEMO / "prompts.csv").open()))[::EVERY]:
        memory = ["--layer", "0", "--memory", row["explicit_entity"], "--for", row["obscure_entity"]]
        patched = folder / "patched.onnx"
        call(binary, "rewrite", folder, "-o", patched, "--bake", "--weights", "embed", "--force", "--json", *memory)
        want = call(binary, "run", folder, "--prompt", row["obscure_sentence"], "--answer", row["answer"], "--json", *memory)
        here, original = host.open(patched), host.open(folder / "model.onnx")
        x = logits(here, want["tokens"])[0, -1].astype(np.float64)
        p = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
        worst = max(worst, abs(p[want["answer"]["id"]] - want["answer"]["p_injected"]))
        gain = min(gain, want["answer"]["p_injected"] - want["answer"]["p_clean"])
        for text in [row["explicit_sentence"], *OTHERS]:
            ids = call(binary, "run", folder, "--prompt", text, "--json")["tokens"]
            if logits(here, ids).tobytes() != logits(original, ids).tobytes():
                changed.append(text)
    return worst, gain, changed


def main():
    parser = argparse.ArgumentParser(description="Memories at phrases in a host.")
    parser.add_argument("--host", default="onnxruntime")
    parser.add_argument("binary", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in DEMO.iterdir():
            if path.suffix not in (".go", ".png"):
                shutil.copy(path, folder)
        worst, gain, changed = check(host_of(args.host), args.binary.resolve(), folder)
    good = worst <= NEAR and gain > 0 and not changed
    print(f"{'ok' if good else 'FAILED':<12}phrases in {args.host}: probabilities within {worst:.1e} of those of run, each at least {gain:.2f} above the clean one; "
          f"{len(changed)} texts without the phrase changed", *changed, sep="\n  ")
    sys.exit(not good)


if __name__ == "__main__":
    main()
