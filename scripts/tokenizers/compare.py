#!/usr/bin/env python3
"""Compares the ids of `onnx-inject tokens` with those of Hugging Face's tokenizers.

Usage: compare.py BINARY FOLDER... [--count N] [--seed S]
Each folder holds a tokenizer.json. Prints one line for each, and the first differences; exits 1 when there is any.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

import tokenizers

from texts import Texts, quoted


def compare(binary, folder, count, seed):
    """The number of texts whose ids differ."""
    judge = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    source = Texts(seed, [t["content"] for t in added])
    texts = [source.text() for _ in range(count)]
    start = time.monotonic()
    out = subprocess.run([binary, "tokens", folder, "--lines", "--quoted"], input=quoted(texts).encode(), stdout=subprocess.PIPE, check=True).stdout
    ours_s = time.monotonic() - start
    ours = [json.loads(line) for line in out.splitlines()]
    start = time.monotonic()
    theirs = [judge.encode(t, add_special_tokens=False).ids for t in texts]
    theirs_s = time.monotonic() - start
    if len(ours) != count:
        print(f"{folder}: {count} texts, {len(ours)} answers")
        return count
    wrong = [i for i in range(count) if ours[i] != theirs[i]]
    print(f"{folder.name:12} {count} texts, {sum(map(len, theirs))} tokens: {len(wrong)} differ   (onnx-inject {ours_s:.1f} s with loading, tokenizers {theirs_s:.1f} s)")
    for i in sorted(wrong, key=lambda i: len(texts[i]))[:5]:
        k = next((k for k, (a, b) in enumerate(zip(ours[i], theirs[i])) if a != b), min(len(ours[i]), len(theirs[i])))
        print(f"  {texts[i][:200]!r}\n    token {k}: onnx-inject {ours[i][k:k + 8]}, tokenizers {theirs[i][k:k + 8]} = {[judge.id_to_token(t) for t in theirs[i][k:k + 8]]}")
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    return sum(compare(args.binary, f, args.count, args.seed) for f in args.folders) > 0


if __name__ == "__main__":
    sys.exit(main())
