#!/usr/bin/env python3
"""Computes what transformers generates with the fixtures' models, with and without interventions; see run.sh.

The models are those of scripts/interventions: transformers in double precision with the weights of an ONNX file, which reproduce the stored
references. Each continues a prompt by 40 tokens with generate(do_sample=False), under hooks of PyTorch that change the values of a site.
Without --write what is computed is compared with what is stored.

The prompts are chosen so that the most likely token leads the next one clearly in every step: float32 cannot change the order then.
"""

import argparse
import contextlib
import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import transformers as hf
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interventions"))
import decoders
import weights

ROOT = Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "models/testdata"
STORED = TESTDATA / "generate.json"
TOKENS = 40
PROMPT = 7
LEAD = 1e-3  # the least difference between the two most likely tokens' logits

# Files of these weights compute with fewer digits: float16 is within 0.004 of its reference.
LEADS = {"neox": 0.01, "qwen3-q4": 0.01, "granite": 2e-4}
TRIES = 400

# Granite multiplies what attention and MLP write by 0.3 and its embeddings by 6: a memory needs to be longer to change a token.
STRENGTH = {"granite": 5.0}

DEMO = ROOT / "models/demo"
decoders.FAMILIES["gpt2-q4"] = decoders.FAMILIES["gpt2"]  # with the unembedding of q4-with-past.onnx; see rounded
decoders.FAMILIES["demo"] = ("../demo/model.onnx", decoders.Family(
    lambda r: hf.GPT2LMHeadModel(hf.GPT2Config.from_pretrained(DEMO)), **decoders.GPT2))


def vector(seed, width):
    """Returns a memory that a formula gives: element i is sin(seed + 1.7 i), rounded to float32."""
    return torch.tensor([math.sin(seed + 1.7 * i) for i in range(width)]).to(torch.float32).double()


def cases(layers, strength):
    """Yields names and interventions. An intervention has the fields of an interventions file; seed stands for the memory."""
    mid, last = layers // 2, layers - 1
    add = lambda site, layer, seed, tau, **more: dict(site=site, layers=[layer], op="add", seed=seed, tau=strength * tau, **more)
    yield "clean", []
    yield "add at attn_out", [add("attn_out", 0, 1, 2.0)]
    yield "add at attn_out, last layer", [add("attn_out", last, 2, -3.0)]
    yield "add at attn_out, prompt only", [add("attn_out", mid, 3, 4.0, when="prompt")]
    yield "add at attn_out, generated only", [add("attn_out", mid, 4, 4.0, when="generated")]
    yield "add at attn_out, positions 2-4", [add("attn_out", mid, 5, 8.0, positions="2-4")]
    yield "add at attn_out, last position", [add("attn_out", 0, 6, 8.0, positions="last")]
    yield "add at resid_post", [add("resid_post", mid, 7, 3.0)]
    yield "add at resid_post, generated only", [add("resid_post", 0, 8, 3.0, when="generated")]
    yield "ablate a head", [dict(site="z", layers=[0], heads=[1], op="ablate")]
    yield "replace a position", [dict(site="resid_post", layers=[0], op="replace", seed=9, tau=strength, positions="2-2")]
    yield "scale mlp_out and ablate heads", [dict(site="mlp_out", layers=[mid], op="scale", keep=0.25), dict(site="z", layers=[last], heads=[0, 2], op="ablate")]


def selected(change, start, stop, prompt):
    """Returns which positions of a step an intervention acts on: 0 and 1, [pos, 1]."""
    first, last = {"all": (0, math.inf), "last": (prompt - 1, prompt - 1)}.get(change.get("positions", "all"), (None, None))
    if first is None:
        first, last = map(int, change["positions"].split("-"))
    when = change.get("when", "always")
    acts = lambda p: first <= p <= last and (when == "always" or (when == "prompt") == (p < prompt))
    return torch.tensor([[float(acts(p))] for p in range(start, stop)])


@contextlib.contextmanager
def intervene(decoder, changes, prompt):
    """Changes the values of sites while the model generates with a cache. Each call of the model runs the positions after those before."""
    f, heads = decoder.family, decoder.heads
    span, hooks = [0, 0], []

    def counted(module, args, kwargs):
        ids = args[0] if args else kwargs["input_ids"]
        span[0], span[1] = span[1], span[1] + ids.shape[1]

    def changed(change, x, factor=1.0):
        value = factor * x.reshape(x.shape[0] if x.dim() == 3 else 1, -1, x.shape[-1])
        at = selected(change, *span, prompt)  # [pos, 1]
        if change["site"] == "z":
            one = torch.zeros(heads)
            one[change["heads"]] = 1
            at = (at * one).repeat_interleave(x.shape[-1] // heads, -1)
        if change["op"] in ("add", "replace"):
            delta = change["tau"] * vector(change["seed"], value.shape[-1])
        keep = {"add": 1.0, "replace": 0.0, "ablate": 0.0, "scale": change.get("keep")}[change["op"]]
        new = value * (1 - at + at * keep)
        if change["op"] in ("add", "replace"):
            new = new + at * delta
        return (new / factor).reshape(x.shape)

    def leaves(change, factor=1.0):
        def hook(module, args, result):
            if isinstance(result, tuple):
                return (changed(change, result[0], factor), *result[1:])
            return changed(change, result, factor)

        return hook

    hooks.append(decoder.model.register_forward_pre_hook(counted, with_kwargs=True))
    for change in changes:
        for layer in change["layers"]:
            module = lambda path: decoder.module(layer, path)
            match change["site"]:
                case "z":
                    hooks.append(module(f.w_o).register_forward_pre_hook(lambda m, args, c=change: (changed(c, args[0]), *args[1:])))
                case "attn_out":
                    hooks.append(module(f.attn_out or f.w_o).register_forward_hook(leaves(change, f.factor)))
                case "mlp_out":
                    hooks.append(module(f.mlp_out or f.mlp).register_forward_hook(leaves(change, f.factor)))
                case "resid_post":
                    hooks.append(module("").register_forward_hook(leaves(change)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def generate(decoder, prompt, changes, eos, cache=True):
    """Returns the new tokens, and the least lead of the most likely one."""
    model, ids = decoder.model, torch.tensor([prompt])
    with intervene(decoder, changes, len(prompt)):
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS, use_cache=cache, eos_token_id=eos,
                             pad_token_id=0, bos_token_id=None, return_dict_in_generate=True, output_logits=True)
    new, logits = out.sequences[0, len(prompt):].tolist(), [x[0] for x in out.logits]
    lead = min((lambda top: top[0] - top[1])(x.topk(2).values).item() for x in logits)
    return new, lead


def rounded(model):
    """Gives a model the unembedding of q4-with-past.onnx, which 4 bits hold."""
    graph = onnx.load(TESTDATA / "q4-with-past.onnx").graph
    stored = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    node = next(n for n in graph.node if n.op_type == "MatMulNBits")
    values = weights.int4(stored[node.input[1]], stored[node.input[2]], model.config.n_embd)
    model.lm_head.weight = torch.nn.Parameter(torch.tensor(values).double())


class Int8:
    """The file of NeoX, whose int8 rounds activations by their range, so that PyTorch gives other tokens. ONNX Runtime runs it, clean, in a loop
    that hands its outputs present to its inputs past_key_values."""

    layers = 2

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def generate(self, prompt):
        feeds = {v.name: np.zeros([1, v.shape[1], 0, v.shape[3]], np.float32) for v in self.session.get_inputs() if v.name.startswith("past")}
        text, fresh, leads = list(prompt), list(prompt), []
        for _ in range(TOKENS):
            n = len(text)
            feeds |= {"input_ids": np.array([fresh]), "attention_mask": np.ones([1, n], np.int64), "position_ids": np.arange(n - len(fresh), n)[None]}
            out = dict(zip([v.name for v in self.session.get_outputs()], self.session.run(None, feeds)))
            logits = torch.tensor(out["logits"][0, -1])
            top = logits.topk(2).values
            leads.append((top[0] - top[1]).item())
            fresh = [logits.argmax().item()]
            text += fresh
            feeds = {name.replace("present", "past_key_values"): value for name, value in out.items() if name != "logits"}
        return text[len(prompt):], min(leads)


def prompts(name, reference):
    """Yields prompts: the reference's own, then random ones."""
    if name == "demo":
        yield from DEMO_PROMPTS
        return
    yield reference["input_ids"][0][:PROMPT]
    for seed in range(TRIES):
        g = torch.Generator().manual_seed(seed)
        yield torch.randint(reference["vocab"], (PROMPT,), generator=g).tolist()


def compute(decoder, name, prompt, eos, lead):
    """Returns what is stored for a prompt, or None when a step is not clear."""
    if isinstance(decoder, Int8):
        ids, least = decoder.generate(prompt)
        return [{"name": "clean", "interventions": [], "ids": ids}] if least >= lead else None
    out = []
    for what, changes in cases(decoder.layers, STRENGTH.get(name, 1.0)):
        ids, least = generate(decoder, prompt, changes, eos)
        if least < lead:
            return None
        out.append({"name": what, "interventions": changes, "ids": ids})
    clean = out[0]["ids"]
    effective = sum(case["ids"] != clean for case in out[1:])
    return out if effective >= 6 else None  # interventions that change nothing show nothing


def demo_prompts():
    """Returns prompts of the demo model as the program encodes them: the beginning-of-text token, then the text."""
    tokenizer = hf.GPT2Tokenizer.from_pretrained(DEMO)
    with open(DEMO / "prompts.csv") as f:
        rows = list(csv.DictReader(f))
    return [[tokenizer.bos_token_id, *tokenizer(row["obscure_sentence"]).input_ids] for row in rows]


DEMO_PROMPTS = []


def text(stored):
    """Writes one case in a line."""
    compact = lambda v: json.dumps(v, separators=(",", ":"))
    return "{" + ",\n".join(f'{compact(n)}:{{"prompt":{compact(v["prompt"])},"eos":{compact(v["eos"])},"cases":[\n' + ",\n".join(map(compact, v["cases"])) + "]}"
                            for n, v in stored.items()) + "}\n"


def main():
    parser = argparse.ArgumentParser(description="References of generation.")
    parser.add_argument("--write", action="store_true", help="store the references")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    DEMO_PROMPTS.extend(demo_prompts())
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    failed = False
    for name in args.names or [n for n in decoders.FAMILIES if n != "nano"]:
        file, _ = decoders.FAMILIES[name]
        if name == "demo":
            c = hf.GPT2Config.from_pretrained(DEMO)
            reference = {"layers": c.n_layer, "heads": c.n_head, "d_model": c.n_embd, "vocab": c.vocab_size}
            eos = json.loads((DEMO / "generation_config.json").read_text())["eos_token_id"]
        else:
            stem = name.removesuffix("-q4") if name == "gpt2-q4" else name
            reference = json.loads((TESTDATA / ("families" if file.startswith("families/") else "") / f"ref_{stem}.json").read_text())
            eos = None
        decoder = Int8(TESTDATA / file) if name == "neox" else decoders.Decoder(name, reference, TESTDATA)
        if name == "gpt2-q4":
            rounded(decoder.model)
        lead, result = LEADS.get(name, LEAD), None
        known = [stored[name]["prompt"]] if name in stored else []
        for prompt in known if known and not args.write else prompts(name, reference):
            if result := compute(decoder, name, prompt, eos, lead):
                break
        if not result:
            print(f"FAILED  {name}: no prompt with a lead of {lead}")
            failed = True
            continue
        for case in result[:3] if name != "neox" else []:  # the cache changes nothing
            if generate(decoder, prompt, case["interventions"], eos, cache=False)[0] != case["ids"]:
                print(f"FAILED  {name}: {case['name']}: other tokens without a cache")
                failed = True
        value = {"prompt": prompt, "eos": eos, "cases": result}
        if args.write:
            stored[name] = value
            STORED.write_text(text(stored))
        same = stored.get(name) == value
        failed |= not same
        print(f"{'ok' if same else 'FAILED':<8}{name:<14}{len(result)} cases, {len({tuple(c['ids']) for c in result})} different texts", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
