#!/usr/bin/env python3
"""Memories of every kind at every site, and each head knocked out, on the demo model. Prints Markdown tables.

usage: sites.py [DIR]    results go to DIR, default .cache/sites; a second run resumes

Needs the program (ONNX_INJECT, default bin/onnx-inject) and Python's standard library.
"""

import json
import os
import pathlib
import subprocess
import sys

PROGRAM = os.environ.get("ONNX_INJECT", "bin/onnx-inject")
MODEL = pathlib.Path("models/demo")
TAUS = "0.25,0.5,1,1.5,2,3,4,6,8"
STREAM = "resid_pre,attn_out,mlp_out,resid_post"

# name -> flags of eval. Each has the same memory of another prompt beside it.
MEMORIES = {
    "unembed": f"--memory curated --memory wrong --taus {TAUS}",
    "embed": f"--memory curated --memory wrong --encoding embed --taus {TAUS}",
    "layer": f"--memory curated --memory wrong --encoding layer --taus {TAUS}",
    "unembed, stream": f"--memory curated --memory wrong --sites {STREAM} --taus {TAUS}",
    "captured, added": f"--memory captured --memory wrong:captured --sites {STREAM} --taus 0.25,0.5,1,2,4",
    "captured, replaced at the last token": f"--memory captured --memory wrong:captured --op replace --sites {STREAM},z --positions last",
    "entity": "--memory entity --sites resid_pre,resid_post",
}
for layer in range(1, 6):  # into each earlier layer
    for where in "last", "phrase":
        MEMORIES[f"back-patching from layer {layer}, {where}"] = (
            f"--memory backpatch:{layer} --memory wrong:backpatch:{layer} --layers 0-{layer - 1} --positions {where}")

HEADS = {"one hop": "explicit_sentence", "two hops": "obscure_sentence"}


def evaluate(folder, flags):
    """Runs eval and returns the series of its summary."""
    command = [PROGRAM, "eval", str(MODEL), "--data", str(MODEL / "prompts.csv"), "-o", str(folder), "--json", *flags.split()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    return json.loads(done.stdout)["summary"]["series"]


def site(series):
    return series.get("site", "attn_out")


def cell(effect):
    """The effect of a series at the layer, head and tau of another effect."""
    return effect["layer"], effect.get("head"), effect["tau"]


def number(x, form="+.2f"):
    return "–" if x is None else format(x, form)


def memories(out):
    print("| memory | site | best cell | p | log-odds | 95 % | other half | another prompt's memory there |")
    print("|---|---|---|---|---|---|---|---|")
    for name, flags in MEMORIES.items():
        series = evaluate(out / name.replace(" ", "-").replace(",", ""), flags)
        mine = [s for s in series if not s["source"].startswith("wrong")]
        best = [next((b for b in s["best"] if b["measure"] == "log_odds"), None) for s in mine]
        for s, b in zip(mine, best):
            if b is None:
                continue
            e = b["effect"]
            other = next(t for t in series if t["source"].startswith("wrong") and site(t) == site(s))
            there = next(x for line in other["grid"] for x in line if cell(x) == cell(e))
            tau = "" if s.get("op") == "replace" else f", tau {e['tau']:g}"
            held = b["held"]["other"]["log_odds"] if b["held"] else None
            low, high = e["log_odds_interval"]["low"], e["log_odds_interval"]["high"]
            print(f"| {name} | {site(s)} | layer {e['layer']}{tau} | {number(e['mean_p'], '.3f')} | {number(e['log_odds'])} "
                  f"| {number(low)} to {number(high)} | {number(held)} | {number(there['log_odds'])} |")
    s = series[0]
    print(f"\nclean: p {s['two_hop']['mean_p']:.3f}; one hop: p {s['one_hop']['mean_p']:.3f}, log-odds {s['ceiling']['log_odds']:+.2f}")
    told = evaluate(out / "entity", MEMORIES["entity"])[0]
    print(f"the memory as text in front: p {told['told']['mean_p']:.3f}, log-odds {told['telling']['log_odds']:+.2f}")


def heads(out):
    for name, column in HEADS.items():
        s = evaluate(out / f"heads-{column}", f"--prompt-column {column} --op ablate --sites z --heads all")[0]
        print(f"\nEach head knocked out, {name} (p {s['two_hop']['mean_p']:.3f}): mean change of the log-odds\n")
        print("| layer | " + " | ".join(f"head {h}" for h in s["heads"]) + " |")
        print("|---" * (len(s["heads"]) + 1) + "|")
        for layer, line in zip(s["layers"], s["grid"]):
            print(f"| {layer} | " + " | ".join(number(e["log_odds"]) for e in line) + " |")
    folders = [str(out / f"heads-{column}") for column in HEADS.values()]
    subprocess.run([PROGRAM, "report", *folders, "--png", "-o", str(out / "heads.html")], stdout=subprocess.DEVNULL, check=True)
    print(f"\n{out}/heads-pictures has the maps")


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/sites")
    out.mkdir(parents=True, exist_ok=True)
    memories(out)
    heads(out)


main()
