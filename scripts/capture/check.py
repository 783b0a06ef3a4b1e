"""Compares captured values with those that the patched file gives in Python's ONNX Runtime; run.sh says how to call it."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd
from safetensors.numpy import load_file

LIMIT = 2e-5  # a value may differ by rounding from that of another version of ONNX Runtime
EXPOSE = "resid_post,attn_out@3,z@1"


def read(folder):
    """A capture: the table of rows, and every hook as one array over all files."""
    rows = pd.read_parquet(folder / "rows.parquet")
    files = [load_file(f) for f in sorted(folder.glob("*.safetensors"))]
    for number, tensors in enumerate(files):
        mine = rows[rows["shard"] == number]
        assert all(len(t) == len(mine) for t in tensors.values()) and list(mine["row"]) == list(range(len(mine)))
    return rows, {name: np.concatenate([f[name] for f in files]) for name in files[0]}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--binary", required=True)
    args.add_argument("--work", required=True, type=Path)
    args = args.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)

    def inject(*words):
        subprocess.run([args.binary, *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    demo = Path(__file__).resolve().parents[2] / "models/demo"
    patched = args.work / "patched.onnx"
    inject("rewrite", demo, "-o", patched, "--expose", EXPOSE, "--weights", "embed")
    captured = {}
    for dtype in ("float32", "float16"):
        folder = args.work / dtype
        inject("capture", demo, "--data", demo / "prompts.csv", "--expose", EXPOSE, "--dtype", dtype, "--file-size", 2, "-o", folder)
        captured[dtype] = read(folder)
    rows, values = captured["float32"]
    half_rows, halves = captured["float16"]

    session = ort.InferenceSession(str(patched), providers=["CPUExecutionProvider"])
    worst = {name: 0.0 for name in values}
    at = 0
    for _, prompt in rows.groupby("prompt", sort=False):
        ids = prompt["token_id"].to_numpy()[None]
        everything = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.shape[1])[None]}
        feeds = {i.name: everything[i.name] for i in session.get_inputs()}
        for name, out in zip(values, session.run(list(values), feeds)):
            worst[name] = max(worst[name], float(np.abs(values[name][at:at + len(prompt)] - out[0]).max()))
        at += len(prompt)
    ok = at == len(rows) and list(rows["prompt"]) == sorted(rows["prompt"]) and (rows["status"] == "").all()
    for name, w in worst.items():
        print(f"{name} {values[name].shape}: largest difference {w:.2g}")
        ok = ok and w <= LIMIT
    same = all(np.array_equal(values[name].astype(np.float16), halves[name]) for name in values)
    print(f"float16 is NumPy's rounding of float32: {same}")
    columns = [c for c in rows if c not in ("shard", "row")]
    ok = ok and same and rows[columns].equals(half_rows[columns])
    print(f"{len(rows)} rows of {rows['prompt'].nunique()} prompts in {rows['shard'].nunique()} files: {'ok' if ok else 'FAIL'}")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
