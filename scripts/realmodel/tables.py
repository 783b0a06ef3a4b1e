"""Reads the results of run.sh or gemma.sh and writes them as Markdown.

usage: tables.py best OUT     prints the layer and the tau at which the log-odds of the answers gain most
       tables.py write OUT    writes OUT/tables.md of run.sh
       tables.py gemma OUT    writes OUT/tables.md of gemma.sh
"""

import csv
import json
import sys
from pathlib import Path

HEADS = 8  # rows of a table of heads


def table(head, rows):
    """Returns a Markdown table; the first column is text, the others are numbers."""
    line = lambda cells: "| " + " | ".join(str(c) for c in cells) + " |"
    return "\n".join([line(head), line(["---"] + ["---:"] * (len(head) - 1)), *map(line, rows)]) + "\n"


def series(folder: Path):
    """Returns the sources of an evaluation by name."""
    return {s["source"]: s for s in json.loads((folder / "summary.json").read_text())["series"]}


def best(out: Path):
    """Returns the cell where the mean change of the log-odds is largest."""
    found = next(b for b in series(out / "sweep")["curated"]["best"] if b["measure"] == "log_odds")
    return found["effect"], found["held"]["other"]


def heads(path: Path):
    """Returns the heads that name the missing hop more often for one kind of prompt than for the other."""
    with open(path, newline="", encoding="utf-8") as f:
        rows = [{k: float(v) for k, v in r.items()} for r in csv.DictReader(f)]
    rows = [r for r in rows if r["one_hop"] or r["two_hop"]]
    rows.sort(key=lambda r: (-abs(r["difference"]), -r["one_hop"], r["layer"], r["head"]))
    return table(["head", "one hop", "two hops", "difference"],
                 [[f"{r['layer']:.0f}.{r['head']:.0f}", *(f"{n:.0f}" for n in (r["one_hop"], r["two_hop"])), f"{r['difference']:+.0f}"] for r in rows[:HEADS]])


def grid(s):
    """Returns the mean change of the log-odds at every layer and tau, with the best of all cells in bold."""
    top = max(e["log_odds"] for row in s["grid"] for e in row)
    show = lambda e: f"**{e['log_odds']:+.2f}**" if e["log_odds"] == top else f"{e['log_odds']:+.2f}"
    return table(["layer", *(f"tau {t:g}" for t in s["taus"])], [[layer, *map(show, row)] for layer, row in zip(s["layers"], s["grid"])])


def within(value, interval):
    return f"{value:+.3f} [{interval['low']:+.3f}, {interval['high']:+.3f}]"


def controls(folder: Path):
    """Returns what every source does at one cell."""
    rows = []
    for name, s in series(folder).items():
        e = s["grid"][0][0]
        rows.append([name, f"{s['two_hop']['mean_p']:.4f}", f"{e['mean_p']:.4f}", f"{e['improved']} of {e['n']}", f"{100 * e['median_change']:+.1f} %",
                     within(e["log_odds"], e["log_odds_interval"])])
    return table(["memory", "p clean", "p", "improved", "median change", "log-odds, 95 % interval"], rows)


def entity(folder: Path):
    """Returns what the state of the entity does at every layer, its controls, and what text does instead."""
    found = series(folder)
    mine, other = found["entity"], found["wrong:entity"]
    held = next(b for b in mine["best"] if b["measure"] == "log_odds")["held"]
    nats = lambda e: f"{mine['two_hop']['surprisal'] - e['surprisal']:+.2f}"
    row = lambda name, e: [name, f"{e['mean_p']:.4f}", f"{e['improved']} of {e['n']}", nats(e), within(e["log_odds"], e["log_odds_interval"])]
    default = round(0.3 * len(mine["layers"])) - 1
    at = lambda s, layer: s["grid"][s["layers"].index(layer)][0]
    other_half = held["other"]
    rows = [
        row(f"entity, layer {default} (the default)", at(mine, default)),
        row("another prompt's entity there", at(other, default)),
        ["entity, layer chosen on the other half", f"{other_half['mean_p']:.4f}", f"{other_half['improved']} of {other_half['n']}", "",
         within(other_half["log_odds"], other_half["log_odds_interval"])],
        row("the memory as text in front", mine["telling"]), row("the one-hop prompt", mine["ceiling"]),
    ]
    layers = table(["layer", "entity, nats", "another prompt's, nats"], [[layer, nats(at(mine, layer)), nats(at(other, layer))] for layer in mine["layers"]])
    return table(["what", "p", "gain", "nats", "log-odds, 95 % interval"], rows) + "\n" + layers


def checks(path: Path):
    return table(["compared with PyTorch", "difference", "limit"],
                 [[r["what"] + (f" ({r['note']})" if r["note"] else ""), f"{r['difference']:.1e}", "" if r["limit"] is None else f"{r['limit']:g}"]
                  for r in json.loads(path.read_text())])


def write(out: Path):
    s = series(out / "sweep")["curated"]
    effect, other = best(out)
    level = lambda name, p: f"{name}: mean probability of the answer {p['mean_p']:.4f}, median {p['median_p']:.4f}, first among all tokens for {p['top1']} of {p['n']}"
    parts = [
        "# SmolLM2-135M-Instruct and the paper's prompts",
        checks(out / "check.json"),
        "## 1. Heads that name the missing hop", "Among their 10 likeliest tokens, as what they add to the logits:", heads(out / "heads.csv"),
        "Among their 200 likeliest tokens, as the paper looked at them:", heads(out / "heads-tl.csv"),
        "## 2. The missing hop as a memory",
        f"{s['prompts']} prompts, {s['cells']} cells. " + "; ".join([level("one hop", s["one_hop"]), level("two hops", s["two_hop"])]) + ".",
        "Mean change of the log-odds of the answer:", grid(s),
        f"The best cell is layer {effect['layer']}, tau {effect['tau']:g}: the mean probability becomes {effect['mean_p']:.4f}, {effect['improved']} of {effect['n']} prompts gain,"
        f" the log-odds change by {within(effect['log_odds'], effect['log_odds_interval'])}. Where the cell is chosen on one half of the prompts,"
        f" those of the other half change by {within(other['log_odds'], other['log_odds_interval'])}.",
        "## 3. Other memories at that cell", controls(out / "controls"),
        "The same in the int4 file:", controls(out / "controls-int4"),
        "## 4. The state of the entity in place of the phrase for it", entity(out / "entity"),
    ]
    save(out, parts)


def gemma(out: Path):
    s, known = series(out / "embed")["curated"], json.loads((out / "probe.json").read_text())["classes"]
    save(out, [
        "# Gemma 3 270M and the paper's prompts",
        "## The state of the entity in place of the phrase for it", entity(out / "entity"),
        "## The paper's vectors", f"embed, at all positions, tau in lengths of attn_out; {s['prompts']} prompts. Mean change of the log-odds of the answer:", grid(s),
        "## What the model lacks", table(["class", "prompts"], [[c["class"], c["prompts"]] for c in known]),
    ])


def save(out: Path, parts):
    (out / "tables.md").write_text("\n\n".join(p.rstrip("\n") for p in parts) + "\n")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("best", "write", "gemma"):
        sys.exit(__doc__.strip())
    out = Path(sys.argv[2])
    if sys.argv[1] != "best":
        {"write": write, "gemma": gemma}[sys.argv[1]](out)
    else:
        effect, _ = best(out)
        print(effect["layer"], f"{effect['tau']:g}")


if __name__ == "__main__":
    main()
