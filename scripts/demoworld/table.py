"""Measure the demo model as in the paper, in double precision, and write the numbers that the Go tests must reproduce.

usage: table.py MODEL_FOLDER -o DEMO_FOLDER

MODEL_FOLDER contains the weights of train.py, DEMO_FOLDER the files of export.py. Writes prompts.csv, words.txt and reference.json into the folder of
model.onnx and prints the table. ONNX Runtime computes the clean and explicit numbers a second time from model.onnx.
"""

import argparse
import csv
import json
import random
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import GPT2LMHeadModel, GPT2Tokenizer

import world

TAUS = [0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8]


class Lab:
    """A model in double precision with a hook on every attention output."""

    def __init__(self, folder: Path):
        self.tok = GPT2Tokenizer.from_pretrained(folder)
        self.model = GPT2LMHeadModel.from_pretrained(folder).double().eval()
        self.bos = self.tok.convert_tokens_to_ids(world.BOS)
        self.layers = len(self.model.transformer.h)
        self.inject = None  # (layer, [row, d_model])
        for layer, block in enumerate(self.model.transformer.h):
            block.attn.register_forward_hook(lambda mod, _, out, layer=layer: self.hook(layer, out))

    def hook(self, layer: int, out):
        if self.inject is None or self.inject[0] != layer:
            return None
        return (out[0] + self.inject[1][:, None, :], *out[1:])  # every position, BOS included

    def unembed(self, memory: str) -> torch.Tensor:
        """The paper's vector in raw weights: C(gamma * (sum over distinct tokens of E - n * mean(E)))."""
        e, gamma = self.model.transformer.wte.weight, self.model.transformer.ln_f.weight
        ids = sorted(set(self.tok.encode(memory)))
        m = gamma * (e[ids].sum(0) - len(ids) * e.mean(0))
        return m - m.mean()

    def answer_id(self, answer: str) -> int:
        return self.tok.encode(" " + answer)[0]

    def ids(self, text: str) -> list[int]:
        return [self.bos] + self.tok.encode(text)

    def p(self, text: str, answer: str, layer: int = 0, shifts: torch.Tensor | None = None) -> np.ndarray:
        """The answer's probability, one for each row of shifts (tau * memory); without shifts, one row of the clean model."""
        self.inject = None if shifts is None else (layer, shifts)
        rows = 1 if shifts is None else len(shifts)
        logits = self.model(torch.tensor([self.ids(text)] * rows), logits_to_keep=1).logits[:, 0]
        return logits.softmax(-1)[:, self.answer_id(answer)].numpy()

    def cell(self, prompts: list[world.Prompt], memories: list[str], layer: int, tau: float) -> np.ndarray:
        return np.array([self.p(p.obscure_sentence, p.answer, layer, tau * self.unembed(m)[None])[0] for p, m in zip(prompts, memories)])

    def grid(self, prompts: list[world.Prompt]) -> np.ndarray:
        """[prompt, layer, tau] with each prompt's own missing hop as memory."""
        taus = torch.tensor(TAUS, dtype=torch.double)[:, None]
        return np.array(
            [
                [self.p(p.obscure_sentence, p.answer, layer, taus * self.unembed(p.explicit_entity)) for layer in range(self.layers)]
                for p in prompts
            ]
        )


def wrong(prompts: list[world.Prompt]) -> list[str]:
    """The missing hops, shuffled until no prompt has its own: onnx-inject's --memory wrong."""
    own = [p.explicit_entity for p in prompts]
    out, n = list(range(len(own))), len(own)
    random.seed(42)
    random.shuffle(out)
    for i in range(n):
        for step in range(1, n):
            if own[out[i]] != own[i]:
                break
            j = (i + step) % n
            if own[out[j]] != own[i] and own[out[i]] != own[j]:
                out[i], out[j] = out[j], out[i]
    assert all(own[j] != own[i] for i, j in enumerate(out))
    return [own[j] for j in out]


def drawn(prompts: list[world.Prompt], layers: int, layer: int, tau: int) -> list[str]:
    """The words of one cell, drawn as in the paper, in nested loops over taus, layers and prompts."""
    random.seed(42)
    words = world.plain_words()
    draws = [[[random.choice(words) for _ in prompts] for _ in range(layers)] for _ in range(tau + 1)]
    return draws[tau][layer]


def through_onnx(lab: Lab, path: Path, texts: list[str], answers: list[str]) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    out = []
    for text, answer in zip(texts, answers):
        ids = np.array([lab.ids(text)], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.shape[1])[None]}
        logits = session.run(["logits"], {k: v for k, v in feeds.items() if k in wanted})[0][0, -1].astype(np.float64)
        p = np.exp(logits - logits.max())
        out.append(p[lab.answer_id(answer)] / p.sum())
    return np.array(out)


def measure(model: Path) -> tuple[Lab, list[world.Prompt], dict]:
    lab = Lab(model)
    prompts = world.prompts(world.HELD_OUT)
    explicit = np.array([lab.p(p.explicit_sentence, p.answer)[0] for p in prompts])
    clean = np.array([lab.p(p.obscure_sentence, p.answer)[0] for p in prompts])
    grid = lab.grid(prompts)
    mean = grid.mean(0)
    layer, k = np.unravel_index(mean.argmax(), mean.shape)
    best = grid[:, layer, k]
    taught = world.prompts(world.TAUGHT)
    return lab, prompts, {
        "about": "mean probability of the answer's first token over the rows of prompts.csv, double precision; unembed encoding (tl-folded), all positions",
        "prompts": len(prompts),
        "explicit": explicit.mean(),
        "clean": clean.mean(),
        "clean_taught": np.mean([lab.p(p.obscure_sentence, p.answer)[0] for p in taught]),
        "taus": TAUS,
        "grid": mean.tolist(),
        "improved": (grid > clean[:, None, None]).sum(0).tolist(),
        "best": {
            "layer": int(layer),
            "tau": TAUS[k],
            "curated": best.mean(),
            "improved": int((best > clean).sum()),
            "wrong": lab.cell(prompts, wrong(prompts), layer, TAUS[k]).mean(),
            "random": lab.cell(prompts, drawn(prompts, lab.layers, layer, k), layer, TAUS[k]).mean(),
        },
        "wrong_memory": "explicit_entity of another row: --memory wrong",
        "random_memory": "--memory random:words.txt",
        "p_explicit": explicit.tolist(),
        "p_clean": clean.tolist(),
        "p_best": best.tolist(),
    }


def show(r: dict) -> None:
    b = r["best"]
    print(f"explicit {r['explicit']:.3f}   clean {r['clean']:.3f}   clean, taught countries {r['clean_taught']:.3f}   n {r['prompts']}")
    print("layer \\ tau " + "".join(f"{t:7g}" for t in r["taus"]))
    for layer, row in enumerate(r["grid"]):
        print(f"{layer:11d} " + "".join(f"{p:7.3f}" for p in row))
    print(f"best: layer {b['layer']} tau {b['tau']:g}: {b['curated']:.3f}, {b['improved']} of {r['prompts']} improved; wrong {b['wrong']:.3f}, random {b['random']:.3f}")


def write(folder: Path, prompts: list[world.Prompt], r: dict) -> None:
    with open(folder / "prompts.csv", "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(world.Prompt.__annotations__)
        out.writerows(vars(p).values() for p in prompts)
    (folder / "words.txt").write_text("".join(w + "\n" for w in world.plain_words()), encoding="utf-8")
    (folder / "reference.json").write_text(json.dumps(r, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("model", type=Path)
    args.add_argument("-o", type=Path, help="folder of model.onnx; without it the table is only printed")
    a = args.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    lab, prompts, r = measure(a.model)
    show(r)
    if a.o is None:
        return
    answers = [p.answer for p in prompts]
    for name, texts in (("explicit", [p.explicit_sentence for p in prompts]), ("clean", [p.obscure_sentence for p in prompts])):
        worst = np.abs(through_onnx(lab, a.o / "model.onnx", texts, answers) - np.array(r["p_" + name])).max()
        print(f"{name} through model.onnx: largest difference {worst:.1e}")
        assert worst < 1e-5
    write(a.o, prompts, r)


if __name__ == "__main__":
    main()
