#!/usr/bin/env python3
"""Conformance: patches every fixture with onnx-inject, runs it, and compares it with PyTorch's results.

It compares the logits of the unpatched file, the outputs of its ports, its logits with tau 0, and its logits with memories. A file
passes when every difference is within the limit of its case. The exit code is 1 when a file fails or no file is checked.
"""

import argparse
import dataclasses
import json
import math
import sys
import tempfile
from pathlib import Path

from compare import FAIL, OK, UNSUPPORTED, check
from host import host_of
from reference import read_cases
from subject import OnnxInject

PARTS = ["original", "activations", "logits", "injected"]


def row(result):
    differences = "".join(f"{result.worst[p]:>13.1e}" if p in result.worst else f"{'-':>13}" for p in PARTS)
    return f"{result.outcome:<12}{result.file:<32}{result.ports:>6}{result.injections:>11}{differences}{result.atol:>10g}"


HEADER = f"{'':<12}{'file':<32}{'ports':>6}{'injections':>11}" + "".join(f"{p:>13}" for p in PARTS) + f"{'limit':>10}"


def problems(result, most=3, width=240):
    for message in result.failures[:most]:
        yield f"{'':<12}{message[:width]}{'…' if len(message) > width else ''}"
    if len(result.failures) > most:
        yield f"{'':<12}and {len(result.failures) - most} more; --json lists them"


def summary(results):
    count = lambda outcome: sum(r.outcome == outcome for r in results)
    text = f"{count(OK)} of {len(results)} files pass, {count(FAIL)} fail"
    return text + (f", {count(UNSUPPORTED)} cannot be run by the host" if count(UNSUPPORTED) else "")


def as_json(result):
    document = dataclasses.asdict(result)
    document["worst"] = {p: d if math.isfinite(d) else None for p, d in result.worst.items()}  # JSON has no NaN
    return document


def check_folder(folder, only, subject, host, strict, report):
    """Checks the cases of a folder. With strict, a file that the host cannot run unpatched fails."""
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for case in read_cases(folder):
            if only in case.file:
                result = check(case, subject, host, Path(scratch))
                if strict and result.outcome == UNSUPPORTED:
                    result.outcome = FAIL
                report(result)
                results.append(result)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="onnx-inject")
    parser.add_argument("folders", type=Path, nargs="+", help="folders with cases.json")
    parser.add_argument("--only", default="", metavar="TEXT", help="check only files whose name contains TEXT")
    parser.add_argument("--host", default="onnxruntime", help="the host that runs the files (default: onnxruntime); others are in scripts/hosts")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()

    host, strict = host_of(args.host), args.host == "onnxruntime"
    subject = OnnxInject(args.binary)
    say = (lambda *lines: None) if args.json else (lambda *lines: print(*lines, sep="\n", flush=True))
    every, document = [], []
    for folder in args.folders:
        say(f"{folder} in {args.host}", HEADER)
        results = check_folder(folder, args.only, subject, host, strict, lambda r: say(row(r), *problems(r)))
        say(summary(results), "")
        document.append({"folder": str(folder), "files": [as_json(r) for r in results]})
        every += results
    if args.json:
        json.dump({"host": args.host, "folders": document}, sys.stdout, indent=2)
        print()
    if not every:
        print(f"conformance: no file was checked: no case contains {args.only!r}", file=sys.stderr)
    sys.exit(1 if not any(r.outcome == OK for r in every) or any(r.outcome == FAIL for r in every) else 0)


if __name__ == "__main__":
    main()
