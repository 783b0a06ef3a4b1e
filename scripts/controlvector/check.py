"""Compares the control vectors of onnx-inject with repeng's; run.sh says how to call it."""

import argparse
import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import gguf
import numpy as np
import onnx
import torch
import transformers
from onnx import numpy_helper
from repeng import ControlVector, DatasetEntry
from repeng.extract import batched_get_hiddens

TESTDATA = Path(__file__).resolve().parents[2] / "runtime/study/contrast/testdata"
METHODS = {"mean": "mean", "pca": "pca_diff", "pca_center": "pca_center"}  # onnx-inject's names and repeng's
LIMIT = 0.999


def checkpoint(folder):
    """The demo model in transformers: its file has the names of the checkpoint."""
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config.from_pretrained(folder))
    state = {i.name: torch.tensor(numpy_helper.to_array(i)) for i in onnx.load(folder / "model.onnx").graph.initializer}
    missing, unexpected = model.load_state_dict({k: v for k, v in state.items() if k.startswith("transformer.")}, strict=False)
    assert not unexpected and missing == ["lm_head.weight"], (missing, unexpected)
    model.tie_weights()
    tokenizer = transformers.GPT2Tokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token  # repeng pads batches
    return model.eval(), tokenizer


@contextlib.contextmanager
def without_final_norm(model):
    """transformers applies the final norm to the last hidden state. Without it, that is the stream after the last layer."""
    norm, model.transformer.ln_f = model.transformer.ln_f, torch.nn.Identity()
    yield
    model.transformer.ln_f = norm


def repeng_vector(model, tokenizer, pairs, method):
    """repeng's own vector; it has no mean, which is computed from the hidden states that it reads."""
    if method != "mean":
        with contextlib.redirect_stderr(None):
            return ControlVector.train(model, tokenizer, pairs, method=method)
    layers = list(range(1, model.config.n_layer))
    texts = [t for p in pairs for t in (p.positive, p.negative)]
    with contextlib.redirect_stderr(None), torch.inference_mode():
        hidden = batched_get_hiddens(model, tokenizer, texts, layers, 32)
    return ControlVector(model.config.model_type, {l: (hidden[l][::2] - hidden[l][1::2]).mean(0).astype(np.float32) for l in layers})


def cosines(a, b):
    return {l: float(a[l] @ b[l] / np.linalg.norm(a[l]) / np.linalg.norm(b[l])) for l in sorted(b)}


class Check:
    def __init__(self):
        self.failed = 0

    def __call__(self, ok, text):
        self.failed += not ok
        print(("ok    " if ok else "FAIL  ") + text)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--binary", required=True)
    args.add_argument("--work", required=True, type=Path)
    args.add_argument("--write", action="store_true")
    args = args.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)

    def inject(*words):
        return subprocess.run([args.binary, *map(str, words)], check=True, capture_output=True, text=True).stdout

    demo = Path(__file__).resolve().parents[2] / "models/demo"
    model, tokenizer = checkpoint(demo)
    files = TESTDATA / "positive.txt", TESTDATA / "negative.txt"
    pairs = [DatasetEntry(*pair) for pair in zip(*(f.read_text().splitlines() for f in files))]
    last = model.config.n_layer - 1
    check = Check()
    for ours, theirs in METHODS.items():
        path = args.work / f"ours-{ours}.gguf"
        made = json.loads(inject("encode", demo, "--positive", files[0], "--negative", files[1], "--method", ours, "--prompt-bos=false", "-o", path, "--json"))
        ties = {x["layer"] for x in made["layers"] if x["higher"] == 0.5}  # as many positive texts project higher as lower: the sign is free

        # repeng and gguf read ours.
        read = ControlVector.import_gguf(path)
        reader = gguf.GGUFReader(path)
        names = [t.name for t in reader.tensors]
        count = int(reader.get_field("controlvector.layer_count").parts[-1][0])
        check(names == [f"direction.{l}" for l in range(1, last + 1)] and count == last and read.model_type == "gpt2",
              f"{ours}: repeng and gguf read {len(names)} directions for {read.model_type}")

        # The same pairs give the same directions.
        stock = repeng_vector(model, tokenizer, pairs, theirs)
        with without_final_norm(model):
            plain = repeng_vector(model, tokenizer, pairs, theirs)
        for name, vector in (("repeng", stock), ("repeng without the final norm", plain)):
            cos = {l: abs(c) if l in ties else c for l, c in cosines(read.directions, vector.directions).items()}
            compared = {l: c for l, c in cos.items() if vector is plain or l != last}
            check(min(compared.values()) >= LIMIT, f"{ours}: cosine with {name}'s {theirs} {min(compared.values()):.7f} to {max(compared.values()):.7f} "
                  f"in layers {min(compared)} to {max(compared)}" + ("" if vector is plain else f"; layer {last}, which repeng reads after the final norm: {cos[last]:.4f}")
                  + (f"; sign free in layers {sorted(ties)}" if ties else ""))

        # We read repeng's: a vector from its file does what the same numbers do from NumPy's.
        path = args.work / f"repeng-{theirs}.gguf"
        stock.export_gguf(path)
        same = True
        for l, v in stock.directions.items():
            np.save(args.work / "v.npy", v)
            runs = [inject("run", demo, "--prompt", "People in Peru speak", "--vector", f, "--layer", l, "--tau", 3, "--json")
                    for f in (f"{path}#direction.{l}", args.work / "v.npy")]
            injected = [json.loads(r)["injected"] for r in runs]
            same = same and injected[0] == injected[1]
        check(same, f"{ours}: onnx-inject reads repeng's file")
        if args.write:
            shutil.copy(path, TESTDATA)
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
