#!/usr/bin/env python3
"""Computes the residual stream, the logit attribution and the attention pattern that lens shows, in PyTorch and double precision.

    python=$(scripts/venv.sh fixtures)
    $python scripts/lens/reference.py            # recomputes the references and compares them with the stored ones
    $python scripts/lens/reference.py --write    # stores them in runtime/study/lens/testdata

The models are those of transformers with the weights of two fixtures. Each must reproduce the logits that other code computed.
The stream goes through the model's own final norm and unembedding. The attribution does not use the formulas of lens: the
direction of the answer is the gradient of its logit by the stream, with the scale of the final norm detached.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fixtures"))

import torch
import transformers

from mlp_out import LIMIT, TESTDATA, array, first, weights_of


def norm_in_double(self, x):
    """RMSNorm without the conversion to float32 that transformers makes."""
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


transformers.models.llama.modeling_llama.LlamaRMSNorm.forward = norm_in_double

STORED = Path(__file__).resolve().parents[2] / "runtime/study/lens/testdata"
TOP, ANSWER, HEAD = 5, 17, (1, 2)

# Each model: its name, the file with its weights, its reference, how to build it, and its modules.
MODELS = [
    ("gpt2", "torchscript-op10.onnx", "ref_gpt2.json",
     lambda r: transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=r["vocab"], n_positions=48, n_embd=r["d_model"], n_layer=r["layers"], n_head=r["heads"],
                                                                    attn_implementation="eager")),
     dict(block="transformer.h.{}", out="attn.c_proj", attention="attn", mlp="mlp", norm="transformer.ln_f")),
    ("llama", "families/optimum-llama.onnx", "families/ref_llama.json",
     lambda r: transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=r["vocab"], hidden_size=r["d_model"], intermediate_size=r["d_ff"], num_hidden_layers=r["layers"],
                                                                      num_attention_heads=r["heads"], num_key_value_heads=2, attn_implementation="eager")),
     dict(block="model.layers.{}", out="self_attn.o_proj", attention="self_attn", mlp="mlp", norm="model.norm")),
]


def width_of_mlp(file):
    """Returns the number of rows of the largest matrix of an MLP; LlamaConfig needs it and the reference does not have it."""
    import onnx

    graph = onnx.load(TESTDATA / file).graph
    shapes = {i.name: i.dims for i in graph.initializer}
    return next((shapes[n.input[1]][0] for n in graph.node if n.name.endswith("mlp/down_proj/MatMul")), None)


class Subject:
    def __init__(self, file, ref, build, modules):
        self.reference = json.loads((TESTDATA / ref).read_text())
        self.reference["d_ff"] = width_of_mlp(file)
        self.model = build(self.reference).double().eval()
        missing, unexpected = self.model.load_state_dict(weights_of(TESTDATA / file, self.model), strict=False)
        if unexpected or any(name in dict(self.model.named_parameters()) for name in missing):
            raise ValueError(f"{file}: parameters without weights: {missing}, {unexpected}")
        self.layers, self.heads = self.reference["layers"], self.reference["heads"]
        self.blocks = [self.model.get_submodule(modules["block"].format(i)) for i in range(self.layers)]
        self.modules, self.norm, self.unembed = modules, self.model.get_submodule(modules["norm"]), self.model.lm_head

    def clean(self):
        """Returns the largest difference between the reference's logits and the model's."""
        logits = self.model(torch.tensor(self.reference["input_ids"])).logits
        return (logits - array(self.reference["logits"])).abs().max().item()

    def run(self, ids):
        """Returns the residual streams before each layer and after the last, each head's and bias's addition, the MLPs' and the patterns."""
        streams, parts, hooks = [], {"heads": [], "b_O": [], "mlp": []}, []

        def before(module, args, kwargs):
            streams.append((args[0] if args else kwargs["hidden_states"])[0])

        def out(module, args):
            # GPT-2's Conv1D is [in, out], a Linear [out, in].
            w = module.weight if isinstance(module, transformers.pytorch_utils.Conv1D) else module.weight.T
            z = args[0][0, -1].reshape(self.heads, -1)
            parts["heads"].append([z[h] @ w.reshape(self.heads, z.shape[1], -1)[h] for h in range(self.heads)])
            parts["b_O"].append(torch.zeros(w.shape[1], dtype=torch.float64) if module.bias is None else module.bias)

        for block in self.blocks:
            hooks.append(block.register_forward_pre_hook(before, with_kwargs=True))
            hooks.append(block.get_submodule(self.modules["out"]).register_forward_pre_hook(out))
            hooks.append(block.get_submodule(self.modules["mlp"]).register_forward_hook(lambda m, i, o: parts["mlp"].append(first(o)[0, -1])))
        hooks.append(self.norm.register_forward_pre_hook(lambda m, args: streams.append(args[0][0])))
        result = self.model(torch.tensor([ids]), output_attentions=True)
        for hook in hooks:
            hook.remove()
        return result, streams, parts

    def direction(self, stream):
        """Returns the gradient of the answer's logit by the stream, and the constant that no part of the stream gives."""
        x = stream.clone().requires_grad_()
        centred = x - x.mean() if isinstance(self.norm, torch.nn.LayerNorm) else x
        eps = getattr(self.norm, "eps", None) or self.norm.variance_epsilon
        normed = centred / (centred.pow(2).mean() + eps).sqrt().detach() * self.norm.weight
        bias = getattr(self.norm, "bias", None)
        logit = self.unembed(normed if bias is None else normed + bias)[ANSWER]
        logit.backward()
        return x.grad, (logit - x.grad @ stream).item()

    def reference_of(self, file):
        ids = self.reference["input_ids"][0]
        with torch.no_grad():
            result, streams, parts = self.run(ids)
            logp = [self.unembed(self.norm(s)).log_softmax(-1) for s in streams]
        direction, constant = self.direction(streams[-1][-1])
        of = lambda x: (x @ direction).item()
        layer, head = HEAD
        return {
            "file": file, "input_ids": ids, "answer": ANSWER,
            "stream": [[[[int(i), float(x)] for x, i in zip(*row.topk(TOP))] for row in rows] for rows in logp],
            "answer_logp": [[row[ANSWER].item() for row in rows] for rows in logp],
            "logit": result.logits[0, -1, ANSWER].item(), "embed": of(streams[0][-1]), "constant": constant,
            "heads": [[of(h) for h in heads] for heads in parts["heads"]], "b_O": [of(b) for b in parts["b_O"]], "mlp": [of(m) for m in parts["mlp"]],
            "pattern": {"layer": layer, "head": head, "weights": result.attentions[layer][0, head].tolist()},
        }


def numbers(x):
    """Yields the numbers of a document in order."""
    if isinstance(x, dict):
        x = x.values()
    if isinstance(x, (int, float)):
        yield x
    elif not isinstance(x, str):
        for v in x:
            yield from numbers(v)


def rounded(x):
    if isinstance(x, float):
        return float(f"{x:.9g}")
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    return [rounded(v) for v in x] if isinstance(x, list) else x


def main():
    parser = argparse.ArgumentParser(description="References of lens.")
    parser.add_argument("--write", action="store_true", help="store the references")
    write = parser.parse_args().write
    failed = False
    for name, file, ref, build, modules in MODELS:
        subject = Subject(file, ref, build, modules)
        clean = subject.clean()
        wanted = subject.reference_of(file)
        total = wanted["embed"] + wanted["constant"] + sum(numbers(wanted["heads"])) + sum(wanted["b_O"]) + sum(wanted["mlp"])
        path = STORED / f"ref_{name}.json"
        if write:
            path.write_text(json.dumps(rounded(wanted), separators=(",", ":")) + "\n")
        stored = json.loads(path.read_text())
        a, b = list(numbers(stored)), list(numbers(wanted))
        worst = max(abs(x - y) for x, y in zip(a, b)) if len(a) == len(b) else float("inf")
        ok = clean <= LIMIT and abs(total - wanted["logit"]) <= 1e-9 and worst <= 1e-7
        failed |= not ok
        print(f"{'ok' if ok else 'FAILED':<8}{path.name:<20}logits {clean:.1e}, parts add up to {abs(total - wanted['logit']):.1e}, stored {worst:.1e}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
