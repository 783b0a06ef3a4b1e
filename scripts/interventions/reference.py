#!/usr/bin/env python3
"""Computes what PyTorch gives under interventions, for every fixture of models/testdata; see run.sh.

The models are those of transformers (nanoGPT: of decoders.py) in double precision, with the weights of an ONNX file. Each must reproduce
its ref_*.json, which other code computed, and obey the laws of interventions. Then its cases are computed: stored with --write, otherwise
compared with what is stored. models/testdata/interventions/README.md describes the format.
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

import decoders
from decoders import Change, Decoder

TESTDATA = Path(__file__).resolve().parents[2] / "models/testdata"
OUT = TESTDATA / "interventions"

STREAM = ("attn_out", "mlp_out", "resid_pre", "resid_post")
SITES = (*STREAM, "z")
POSITIONS = 6  # more than the windows of Gemma 2 and Gemma 3
SHOWN = (0, 2, 5)  # the positions whose logits are stored
STRIDE = 14  # of the stored logits, over the vocabulary
HOOK_STRIDE = 41  # of the stored values of a hook, over all of them
DIGITS = 8

REPRODUCED = 2e-6  # the references have 7 or 8 digits
INT8 = 0.07  # the file of NeoX has weights that were rounded to int8; its reference is of those before
EXACT = 1e-10  # different orders of the same sums


def read(stored):
    return torch.tensor(stored["data"]).reshape(stored["shape"])


def memory(seed, shape):
    """Returns a memory that a formula gives, so that it need not be stored: element i is sin(seed + 1.7 i), rounded to float32."""
    return torch.tensor([math.sin(seed + 1.7 * i) for i in range(math.prod(shape))]).to(torch.float32).double().reshape(shape)


@dataclass(frozen=True)
class At:
    """An intervention at a site of a layer, as it is stored."""

    site: str
    layer: int
    keep: torch.Tensor  # exact in float16, as tau is
    tau: torch.Tensor
    memory: tuple  # seed, shape

    def change(self):
        return Change(self.keep, self.tau, memory(*self.memory))

    def stored(self):
        array = lambda t: {"shape": list(t.shape), "data": [int(x) if x == int(x) else x for x in t.flatten().tolist()]}
        return {"site": self.site, "layer": self.layer, "keep": array(self.keep), "tau": array(self.tau),
                "memory": {"seed": self.memory[0], "shape": list(self.memory[1])}}


class Cases:
    """The cases of a decoder: names, interventions, hooks that are stored."""

    def __init__(self, decoder, reference):
        self.layers, self.heads, self.d_model, self.parallel = reference["layers"], reference["heads"], reference["d_model"], decoder.family.parallel
        self.d_head = decoder.module(0, decoder.family.w_o).weight.numel() // self.d_model // self.heads
        self.out = bool(decoder.family.attn_out) or decoder.family.factor != 1
        self.seed = 0

    def at(self, site, layer, keep=1.0, tau=0.0, shape=(1, 1)):
        """Makes an intervention. keep and tau are numbers, or arrays [batch, pos] or, for z, [batch, pos, head]; shape is the memory's [batch, pos]."""
        self.seed += 1
        tail = (self.heads, self.d_head) if site == "z" else (self.d_model,)

        def full(value):
            t = torch.as_tensor(value, dtype=torch.float64)
            if t.dim() == 0:
                t = t.reshape(1, 1)
            if site == "z" and t.dim() == 2:
                t = t.unsqueeze(-1).expand(*t.shape, self.heads)
            return t.unsqueeze(-1)

        return At(site, layer, full(keep), full(tau), (self.seed, (*shape, *tail)))

    def operations(self, site, layer):
        """Yields every operation at a site: add, scale, ablate, replace."""
        last, third = torch.zeros(1, POSITIONS), torch.zeros(1, POSITIONS)
        last[:, -1], third[:, 2] = 1, 1
        yield "add", self.at(site, layer, tau=0.75)
        yield "add at the last position", self.at(site, layer, tau=-1.5 * last)
        yield "scale", self.at(site, layer, keep=0.5)
        yield "ablate", self.at(site, layer, keep=0.0)
        yield "replace at a position", self.at(site, layer, keep=1 - third, tau=third, shape=(2, 1))

    def all(self):
        last = self.layers - 1
        for site in SITES:
            for layer in sorted({0, self.layers // 2, last}):
                for name, at in self.operations(site, layer):
                    yield f"{site}@{layer} {name}", [at], []
        yield from self.combinations(last)

    def combinations(self, last):
        head = lambda h: torch.eye(self.heads)[h].reshape(1, 1, -1)
        ramp = torch.tensor([[-1, -0.5, 0.25, 0.5, 0.75, 1]])
        rows = torch.tensor([[1.0], [-0.5]])
        at = self.at
        yield "z: a head is ablated", [at("z", 0, keep=1 - head(1))], []
        yield "z: each head its own", [at("z", last, keep=torch.tensor([1, 0.5, 0, -1]).reshape(1, 1, -1), tau=head(2) * ramp.unsqueeze(-1), shape=(1, POSITIONS))], []
        yield "z: each row its own", [at("z", last, keep=rows, tau=0.5 * rows, shape=(2, POSITIONS))], []
        yield "attn_out and mlp_out of a layer", [at("attn_out", 0, tau=0.5), at("mlp_out", 0, keep=0.25, tau=-0.5)], []
        yield "attn_out of all layers", [at("attn_out", layer, tau=0.5) for layer in range(self.layers)], []
        yield "resid_post is before the next resid_pre", [at("resid_post", 0, keep=0.5, tau=1.0), at("resid_pre", 1, keep=-1.5, tau=0.5)], []
        yield "resid_post: each row and position its own", [at("resid_post", last, keep=rows * ramp, tau=rows.flip(0), shape=(2, POSITIONS))], []
        yield "mlp_out: each position its own", [at("mlp_out", last, keep=1 - ramp.abs(), tau=ramp, shape=(1, POSITIONS))], []
        layer = ["resid_pre", "z", "result", "attn_out", "mlp_out", "resid_post"] + ["out"] * self.out + ["resid_mid"] * (not self.parallel)
        hooks = [decoders.hook_name(site, 0) for site in layer] + [decoders.hook_name(site, 1) for site in ("resid_pre", "z", "mlp_out", "resid_post")]
        yield "every site of two layers", [at(site, layer, keep=0.75, tau=0.5) for layer in (0, 1) for site in SITES], hooks
        yield "hooks when sites are ablated", [at(site, 0, keep=0.0) for site in ("z", "attn_out", "mlp_out")], hooks


def reproduce(decoder, reference):
    """Returns the largest difference from the reference: logits, activations, and logits with its memories."""
    ids = torch.tensor(reference["input_ids"])
    logits, seen = decoder.run(ids)
    stored = {name: read(a) for name, a in reference["activations"].items()}
    worst = [(logits - read(reference["logits"])).abs().max(), *((seen[name] - value).abs().max() for name, value in stored.items() if name in seen)]
    for injected in reference["injected"]:
        tau = torch.full((1, ids.shape[1], 1), injected["tau"])
        if injected.get("positions") == "last":
            tau[:, :-1] = 0
        change = Change(torch.ones(1), tau, read(reference["memory"][injected["memory"]]))
        logits, _ = decoder.run(ids, {(injected.get("site", "attn_out"), layer): change for layer in injected["layers"]})
        worst.append((logits - read(injected["logits"])).abs().max())
    return max(worst).item()


def laws(decoder, ids, d_model):
    """Returns the laws that the decoder breaks."""
    broken = []
    ones, zeros, vector = torch.ones(1), torch.zeros(1), memory(99, (1, 1, d_model))
    clean, seen = decoder.run(ids)
    layers = range(decoder.layers)
    same = lambda law, a, b: broken.append(f"{law}: {(a - b).abs().max().item():.1e}") if not (a - b).abs().max() <= EXACT else None
    run = lambda changes, **more: decoder.run(ids, changes, **more)[0]
    off = run({(site, layer): Change(ones, zeros, ones) for site in SITES for layer in layers})
    if not torch.equal(off, clean):
        broken.append("off is not clean, bit for bit")
    add, ablate = Change(ones, ones, vector), Change(zeros, zeros, ones)
    replace = lambda value: Change(zeros, ones, value)
    for layer in layers:
        w_o = decoder.module(layer, decoder.family.w_o)
        bias = torch.zeros(d_model) if w_o.bias is None else w_o.bias
        same(f"z@{layer} ablated is b_O", run({("z", layer): ablate}), run({}, out={layer: bias.expand(*ids.shape, -1)}))
        post = run({("resid_post", layer): add})
        same(f"mlp_out@{layer} is added to resid_post", run({("mlp_out", layer): add}), post)
        if decoder.family.parallel:
            same(f"attn_out@{layer} is added to resid_post", run({("attn_out", layer): add}), post)
        if layer + 1 < decoder.layers:
            same(f"resid_pre@{layer + 1} is resid_post", run({("resid_pre", layer + 1): add}), post)
        same(f"a layer that adds nothing@{layer}", run({("attn_out", layer): ablate, ("mlp_out", layer): ablate}),
             run({("resid_post", layer): replace(seen[f"blocks.{layer}.hook_resid_pre"])}))
        for site in SITES:
            changed = run({(site, layer): replace(seen[decoders.hook_name(site, layer)])})
            same(f"{site}@{layer} replaced by itself", changed, clean)
            if (run({(site, layer): ablate}) - clean).abs().max() < 1e-3:
                broken.append(f"{site}@{layer} ablated has no effect")
    return broken


def rounded(values):
    return [round(x, DIGITS) + 0.0 for x in values.flatten().tolist()]  # + 0.0: no -0.0


def shown(logits):
    return rounded(logits[:, SHOWN, ::STRIDE])


def compute(decoder, reference, name):
    """Returns what is stored for a decoder."""
    ids = torch.tensor(reference["input_ids"])[:, :POSITIONS]
    out = {"ref": f"ref_{name}.json", "input_ids": ids.tolist(), "positions": list(SHOWN), "stride": STRIDE, "hook_stride": HOOK_STRIDE,
           "clean": shown(decoder.run(ids)[0]), "cases": []}
    for what, interventions, hooks in Cases(decoder, reference).all():
        logits, seen = decoder.run(ids, {(i.site, i.layer): i.change() for i in interventions})
        case = {"name": what, "interventions": [i.stored() for i in interventions], "logits": shown(logits)}
        if hooks:
            case["hooks"] = {h: {"shape": list(seen[h].shape), "data": rounded(seen[h].flatten()[::HOOK_STRIDE])} for h in hooks}
        out["cases"].append(case)
    return out


def numbers(stored):
    """Yields the numbers of a stored reference that are computed."""
    yield from stored["clean"]
    for case in stored["cases"]:
        yield from case["logits"]
        for hook in case.get("hooks", {}).values():
            yield from hook["data"]


def without_numbers(stored):
    """Returns a reference without the numbers, to compare what was computed."""
    cases = [{**case, "logits": None, "hooks": {h: v["shape"] for h, v in case.get("hooks", {}).items()}} for case in stored["cases"]]
    return {**stored, "clean": None, "cases": cases}


def text(stored):
    """Writes one case in a line."""
    compact = lambda v: json.dumps(v, separators=(",", ":"))
    head = ",\n".join(f"{compact(k)}:{compact(v)}" for k, v in stored.items() if k != "cases")
    return f'{{{head},\n"cases":[\n' + ",\n".join(map(compact, stored["cases"])) + "\n]}\n"


def main():
    parser = argparse.ArgumentParser(description="References of interventions at every site.")
    parser.add_argument("--write", action="store_true", help="store the references")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"references to compute, all by default: {', '.join(decoders.FAMILIES)}")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)  # the models are small
    failed = False
    for name in args.names or decoders.FAMILIES:
        file, _ = decoders.FAMILIES[name]
        reference = json.loads((TESTDATA / ("families" if file.startswith("families/") else "") / f"ref_{name}.json").read_text())
        decoder = Decoder(name, reference, TESTDATA)
        clean = reproduce(decoder, reference)
        broken = laws(decoder, torch.tensor(reference["input_ids"])[:, :POSITIONS], reference["d_model"])
        good = clean <= (INT8 if "int8" in file else REPRODUCED) and not broken
        computed, path = compute(decoder, reference, name), OUT / f"{name}.json"
        if args.write and good:
            path.write_text(text(computed))
        stored = json.loads(path.read_text()) if path.exists() else {"cases": [], "clean": []}
        worst = math.inf
        if without_numbers(stored) == without_numbers(json.loads(text(computed))):
            worst = max(abs(a - b) for a, b in zip(numbers(stored), numbers(computed), strict=True))
        good &= worst <= 2 * 10**-DIGITS
        failed |= not good
        print(f"{'ok' if good else 'FAILED':<8}{name:<14}reproduced within {clean:.1e}, {len(computed['cases'])} cases, stored within {worst:.1e}", *broken, sep="\n  ")
    sys.exit(failed)


if __name__ == "__main__":
    main()
