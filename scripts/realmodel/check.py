"""Compares exported files of a checkpoint with PyTorch: logits, every port of a patched copy, an injection; and tokens with tokenizers.

usage: check.py --binary ONNX_INJECT --checkpoint FOLDER --model FOLDER --data FILE.csv [--int4 FOLDER] [--limit 1e-4] [--json FILE]

PyTorch multiplies in double precision; transformers has norms and softmax in float32 all the same. A difference of logits is the largest
one over all positions and tokens. Values inside the model are compared relative to the largest number of the same kind and layer, because
the stream of a trained model has numbers in the thousands. The exit code is 1 when a difference is above its limit.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "conformance"))
from feeds import feeds  # noqa: E402
from reference import KINDS  # noqa: E402

LAYER, TAU = 7, 3.0  # of the injection: where the paper found its best cell
RELATIVE = 1e-4  # of values inside the model
PROMPTS = 8  # pairs whose logits are compared


class Reference:
    """The checkpoint in PyTorch, in double precision."""

    def __init__(self, folder: Path):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
        self.layers = self.model.model.layers
        self.heads = self.model.config.num_attention_heads

    @torch.no_grad()
    def logits(self, ids, layer=None, addition=None):
        """Returns the logits, after something was added to what one layer's attention gives."""
        hooks = []
        if layer is not None:
            change = lambda module, args, out: (out[0] + torch.from_numpy(addition), *out[1:])
            hooks.append(self.layers[layer].self_attn.register_forward_hook(change))
        try:
            return self.model(torch.tensor(ids)).logits.numpy()
        finally:
            for h in hooks:
                h.remove()

    @torch.no_grad()
    def activations(self, ids):
        """Returns what the ports of a layer show, by kind and layer."""
        seen, hooks = {}, []
        keep = lambda layer, **values: seen.update({(kind, layer): v.numpy() for kind, v in values.items()})  # returns None: a hook changes nothing
        for i, layer in enumerate(self.layers):
            hooks += [
                layer.register_forward_hook(lambda m, args, out, i=i: keep(i, resid_pre=args[0], resid_post=out)),
                layer.self_attn.register_forward_hook(lambda m, args, out, i=i: keep(i, attn_out=out[0], pattern=out[1])),
                layer.self_attn.o_proj.register_forward_pre_hook(lambda m, args, i=i: keep(i, z=args[0].unflatten(-1, (self.heads, -1)))),
                layer.mlp.register_forward_hook(lambda m, args, out, i=i: keep(i, mlp_out=out)),
            ]
        self.model(torch.tensor(ids))
        for h in hooks:
            h.remove()
        for i, layer in enumerate(self.layers):
            rows = layer.self_attn.o_proj.weight.T.numpy().reshape(self.heads, -1, seen["attn_out", i].shape[-1])
            seen["result", i] = np.einsum("bphd,hdm->bphm", seen["z", i], rows)
            seen["out", i] = seen["attn_out", i]
            seen["resid_mid", i] = seen["resid_pre", i] + seen["attn_out", i]
        return seen


class File:
    """An exported file in ONNX Runtime."""

    def __init__(self, path: Path):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.outputs = {o.name for o in self.session.get_outputs()}

    def run(self, names, ids, ports={}):
        ids = np.array(ids)
        return dict(zip(names, self.session.run(names, feeds(self.session.get_inputs(), ids, ports))))

    def logits(self, ids, ports={}):
        return self.run(["logits"], ids, ports)["logits"].astype(np.float64)


class Report:
    """Differences and their limits. A NaN is above every limit."""

    def __init__(self):
        self.rows, self.ok = [], True

    def add(self, what, difference, limit=None, note=""):
        good = limit is None or difference <= limit
        self.ok &= bool(good)
        self.rows.append({"what": what, "difference": float(difference), "limit": limit, "note": note})
        print(f"{'ok' if good else 'FAIL':<6}{what:<44}{difference:>10.2e}{'' if limit is None else f'  of {limit:g}'}  {note}", flush=True)


def call(binary, *args, text=None):
    """Returns what onnx-inject prints."""
    done = subprocess.run([binary, *map(str, args)], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{binary} {args[0]}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def tokens(binary: str, folder: Path, texts, report: Report):
    """onnx-inject and Hugging Face's tokenizers agree, and the ids become the text again."""
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    out = call(binary, "tokens", folder, "--lines", "--quoted", text="".join(json.dumps(t) + "\n" for t in texts))
    want = [reference.encode(t).ids for t in texts]
    got = [json.loads(line) for line in out.splitlines()]
    wrong = sum(a != b for a, b in zip(got, want)) + abs(len(got) - len(want))
    report.add("texts with other tokens", wrong, 0, f"{len(texts)} texts, against Hugging Face's tokenizers")
    report.add("texts that do not come back", sum(reference.decode(ids) != t for ids, t in zip(want, texts)), 0)
    return reference


def ports(binary: str, folder: Path, reference: Reference, ids, memory: str, limit: float, report: Report):
    """Everything that a patched copy shows is what PyTorch computes, and a memory does what it does there."""
    with tempfile.TemporaryDirectory() as scratch:
        patched, vector = Path(scratch) / "patched.onnx", Path(scratch) / "memory.npy"
        found = json.loads(call(binary, "inspect", folder, "--json"))
        kinds = [k for k in KINDS if any(s["kind"] == k.name for s in found["sites"])]
        call(binary, "rewrite", folder, "-o", patched, "--expose", ",".join(k.name for k in kinds), "--inject", "all")
        call(binary, "encode", folder, "--text", memory, "-o", vector)
        m = np.load(vector).reshape(1, 1, -1)
        original, file = File(model_file(folder)), File(patched)
    neutral = {f"blocks.{i}.attn.{p}": np.zeros((1, 1, m.shape[-1] if p == "memory" else 1)) for i in range(found["layers"]) for p in ("memory", "tau")}
    want = reference.activations(ids)
    names = {(k.name, i): k.port % i for k in kinds for i in range(found["layers"])}
    got = file.run(list(names.values()), ids, neutral)
    for kind in kinds:
        worst = [np.abs(got[names[kind.name, i]] - want[kind.name, i]).max() / np.abs(want[kind.name, i]).max() for i in range(found["layers"])]
        report.add(f"{kind.name} of {found['layers']} layers, relative", np.max(worst), RELATIVE)
    report.add("logits with tau 0, against the original", np.abs(file.logits(ids, neutral) - original.logits(ids)).max(), limit)
    steered = neutral | {f"blocks.{LAYER}.attn.memory": m, f"blocks.{LAYER}.attn.tau": np.full((1, 1, 1), TAU)}
    want = reference.logits(ids, LAYER, TAU * m.astype(np.float64))
    report.add("logits with a memory", np.abs(file.logits(ids, steered) - want).max(), limit,
               f"{memory!r} at layer {LAYER}, tau {TAU:g}; it moves them by {np.abs(want - reference.logits(ids)).max():.1f}")


def model_file(folder: Path) -> Path:
    return folder / "model.onnx"


def divergence(p_logits, q_logits):
    """Returns the mean over positions of the Kullback-Leibler divergence of q from p, in nats."""
    log = lambda x: torch.log_softmax(torch.from_numpy(x), -1)
    p, q = log(p_logits), log(q_logits)
    return float((p.exp() * (p - q)).sum(-1).mean())


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--binary", required=True)
    args.add_argument("--checkpoint", type=Path, required=True)
    args.add_argument("--model", type=Path, required=True)
    args.add_argument("--int4", type=Path)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--limit", type=float, default=1e-4, help="of logits")
    args.add_argument("--json", type=Path)
    a = args.parse_args()
    with open(a.data, newline="", encoding="utf-8") as f:
        pairs = list(csv.DictReader(f))
    texts = [p[c] for p in pairs for c in ("explicit_sentence", "obscure_sentence", "explicit_entity", "answer")]
    texts += [" " + t for t in texts]

    report = Report()
    tokenizer = tokens(a.binary, a.model, texts, report)
    reference = Reference(a.checkpoint)
    ids = [[tokenizer.encode(p[c]).ids] for p in pairs[:PROMPTS] for c in ("explicit_sentence", "obscure_sentence")]
    want = [reference.logits(i) for i in ids]
    single = AutoModelForCausalLM.from_pretrained(a.checkpoint, dtype=torch.float32).eval()
    with torch.no_grad():
        alone = [single(torch.tensor(i)).logits.double().numpy() for i in ids]
    del single
    size = max(np.abs(w).max() for w in want)
    worst = lambda got, want: np.max([np.abs(g - w).max() for g, w in zip(got, want)])  # a NaN stays
    report.add("logits of PyTorch in float32", worst(alone, want), None, f"{len(ids)} prompts, the largest logit is {size:.1f}")
    file = File(model_file(a.model))
    got = [file.logits(i) for i in ids]
    report.add("logits of the file", worst(got, want), a.limit)
    report.add("logits of the file, against float32", worst(got, alone), None)
    del file
    ports(a.binary, a.model, reference, ids[0], pairs[0]["explicit_entity"], a.limit, report)
    if a.int4:
        file = File(model_file(a.int4))
        got = [file.logits(i) for i in ids]
        report.add("logits of the int4 file", worst(got, want), None, f"divergence {np.mean([divergence(w, g) for w, g in zip(want, got)]):.3f} nats a token")
    if a.json:
        a.json.write_text(json.dumps(report.rows, indent=2) + "\n")
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    main()
