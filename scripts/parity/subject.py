"""onnx-inject, called through its command line only."""

import csv
import json
import math
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Score(NamedTuple):
    """The score of an answer in a row of cells.csv."""

    logp: float
    rank: int
    top: list[int]


MISSING = Score(math.nan, 0, [])


class OnnxInject:
    def __init__(self, binary: str, model_folder: Path):
        self.binary, self.model = binary, str(model_folder)

    def vector(self, text, encoding, layer):
        with tempfile.TemporaryDirectory() as out:
            path = Path(out) / "memory.npy"
            args = ["encode", self.model, "--text", text, "--encoding", encoding, "-o", str(path)]
            self._call(args + (["--layer", str(layer)] if encoding == "layer" else []))
            return np.load(path).astype(np.float64).reshape(-1)

    def run(self, prompt, memory, answer, encoding, layer, tau):
        """One cell in a separate run: log p of the answer, clean and injected."""
        out = json.loads(self._call([
            "run", self.model, "--json", "--prompt", prompt, "--memory", memory, "--answer", answer,
            "--encoding", encoding, "--layer", str(layer), "--tau", f"{tau:g}",
        ]))
        got = out["answer"]
        return got["id"], math.log(got["p_clean"]), math.log(got["p_injected"])

    def eval(self, data: Path, out: Path, encoding, plan, taus, top) -> dict[tuple[int, int, float], Score]:
        """All cells of a data file, by prompt, layer and tau."""
        self._call(["eval", self.model, "--data", str(data), "-o", str(out), "--encoding", encoding, "--plan", plan,
                    "--taus", ",".join(f"{t:g}" for t in taus), "--top", str(top)])
        with open(out / "cells.csv", newline="", encoding="utf-8") as f:
            return {(int(r["prompt"]), int(r["layer"]), float(r["tau"])): Score(float(r["logp_answer"]), int(r["rank"]), [int(i) for i in r["top"].split()])
                    for r in csv.DictReader(f)}

    def _call(self, args):
        done = subprocess.run([self.binary, *args], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{self.binary} {' '.join(args)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout
