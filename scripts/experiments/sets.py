#!/usr/bin/env python3
"""Entity memories on prompts of three hops, of two phrases, and with a wrong name. Prints a Markdown table.

usage: sets.py [DIR]            the demo model on its own sets; results go to DIR, default .cache/sets; a second run resumes
       sets.py DIR MODEL FLAG…  another model on the sets in plain English; the flags go to eval, such as --layers 4-10 or
                                --side-effects english

Needs the program (ONNX_INJECT, default bin/onnx-inject) and Python's standard library.
"""

import json
import os
import pathlib
import subprocess
import sys

PROGRAM = os.environ.get("ONNX_INJECT", "bin/onnx-inject")
DEMO = pathlib.Path("models/demo")
ENGLISH = pathlib.Path(__file__).resolve().parent
SETS = ["three_hops", "two_phrases", "corrected"]


def evaluate(model, data, folder, flags):
    """Runs eval and returns the series of entity and of its control."""
    command = [PROGRAM, "eval", str(model), "--data", str(data), "-o", str(folder), "--memory", "entity", "--json", *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    return json.loads(done.stdout)["summary"]["series"]


def row(name, mine, wrong):
    """The best cell by log-odds, and the control in the same cell."""
    best = next(b for b in mine["best"] if b["measure"] == "log_odds")
    e, held = best["effect"], best["held"]
    there = next(x for line in wrong["grid"] for x in line if (x["layer"], x["tau"]) == (e["layer"], e["tau"]))
    low, high = e["log_odds_interval"]["low"], e["log_odds_interval"]["high"]
    other = held["other"]["log_odds"] if held else float("nan")
    side = next((x for x in mine.get("side_effects", {}).get("grid", []) if (x["layer"], x["tau"]) == (e["layer"], e["tau"])), None)
    harm = f"{side['kl']:.2f} | {side['perplexity_clean']:.2f} → {side['perplexity']:.2f}" if side else "– | –"
    return (f"| {name} | {mine['two_hop']['n']} | {mine['two_hop']['mean_p']:.3f} | {mine['one_hop']['mean_p']:.3f} | {mine['told']['mean_p']:.3f} "
            f"| {e['layer']} | {e['mean_p']:.3f} | {e['improved']} of {e['n']} | {e['log_odds']:+.2f} ({low:+.2f} to {high:+.2f}) | {other:+.2f} | {there['mean_p']:.3f} | {harm} |")


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/sets")
    model, folder, flags = (sys.argv[2], ENGLISH, sys.argv[3:]) if len(sys.argv) > 2 else (DEMO, DEMO, ["--side-effects", "demo"])
    out.mkdir(parents=True, exist_ok=True)
    print("| prompts | n | p clean | p with the names | p told | layer | p entity | gain | log-odds (95 %) | other half | p of another prompt's | KL elsewhere | perplexity |")
    print("|---" * 13 + "|", flush=True)
    for name in SETS:
        print(row(name, *evaluate(model, folder / f"{name}.csv", out / name, flags)), flush=True)


main()
