"""Write the data files about the demo world that are more than two hops: three_hops.csv, two_phrases.csv, corrected.csv, and texts.txt.

usage: sets.py -o DEMO_FOLDER

Needs Python's standard library only: the model is not trained or measured again.
"""

import argparse
import csv
from pathlib import Path

import world

SETS = {"three_hops": (world.Prompt, world.three_hops), "two_phrases": (world.Pair, world.two_phrases), "corrected": (world.Prompt, world.corrected)}


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("-o", type=Path, required=True)
    folder = args.parse_args().o
    for name, (kind, make) in SETS.items():
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(kind.__dataclass_fields__)
            out.writerows(vars(p).values() for p in make())
    (folder / "texts.txt").write_text("".join(t + "\n" for t in world.texts()), encoding="utf-8")


if __name__ == "__main__":
    main()
