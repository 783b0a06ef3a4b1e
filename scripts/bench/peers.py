"""The programs that a user without onnx-inject runs, timed per cell of prompts x layers x taus.

usage: peers.py build FOLDER NAME                 a model with random weights, exported by optimum; prints its folder
       peers.py lens MODEL THREADS < prompts      the paper's loop in TransformerLens; prints the seconds per cell
       peers.py batched MODEL THREADS < prompts   Hugging Face, the 15 taus of a layer as one batch; the same
       peers.py cached MODEL THREADS < prompts    the same at the last position, with the keys and values of the others computed once
       peers.py cache MODEL THREADS < prompts     run_with_cache of TransformerLens, every hook_resid_post; prints the seconds per prompt
       peers.py loop FILE THREADS < prompts       the outputs hook_resid_post of a patched file in Python's ONNX Runtime; the same

prompts is a list of {"prompt", "memory", "answer"} in JSON. Cells cost the same at each layer and tau, so a few cells of each
prompt represent all of them. All timed code has run once before.
"""

import copy
import json
import logging
import os
import sys
import time
import warnings
from functools import partial
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="disabled")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))

import numpy as np
import torch

import llama
import model as gpt2
from references import TransformerLens
from transformers import AutoModelForCausalLM, AutoTokenizer

BUILDERS = {
    "small/gpt2": lambda work: gpt2.folder(work, gpt2.SMALL),
    "large/gpt2": lambda work: gpt2.folder(work, gpt2.LARGE),
    "smollm2/llama": llama.folder,
}
W_O = {  # the module whose output is the attention output of a layer, by model_type
    "gpt2": lambda decoder, layer: decoder.h[layer].attn.c_proj,
    "llama": lambda decoder, layer: decoder.layers[layer].self_attn.o_proj,
}
TAUS = [float(t) for t in range(1, 16)]
SAMPLED = 2  # cells of the paper's loop, layers of the batched one, for each prompt
TOP = 30


def lens(folder, prompts):
    """A clean run and a hooked one for each cell, with per-head results, the memory as a one-hot product, the likeliest 30 tokens."""
    peer = TransformerLens(folder, *gpt2.load(folder))
    total = 0.0

    def cell(p, layer, tau):
        answer = peer.answer(p["answer"])
        vector = peer.vector(p["memory"], "unembed", layer)
        for logits in (peer.model(p["prompt"]), peer.edited(p["prompt"], layer, tau, vector)):
            probabilities = torch.softmax(logits[0, -1], -1)
            probabilities[answer].item(), torch.topk(probabilities, TOP).indices.tolist()

    for p in prompts:
        cell(p, 0, 1.0)
        start = time.perf_counter()
        for i in range(SAMPLED):
            cell(p, i * peer.model.cfg.n_layers // SAMPLED, TAUS[i])
        total += (time.perf_counter() - start) / SAMPLED
    return total / len(prompts)


def batched(folder, prompts, last=False):
    """One clean run for each prompt, one batch of all taus for each layer, only the last position unembedded. last: only the last
    position runs and changes; the clean run leaves the keys and values of the others."""
    hf, tokenizer = (kind.from_pretrained(folder / "checkpoint") for kind in (AutoModelForCausalLM, AutoTokenizer))
    decoder, layers = hf.eval().base_model, hf.config.num_hidden_layers
    vector = torch.randn(hf.config.hidden_size)

    def rows(ids, n, answer, earlier=None):
        if earlier is not None:
            earlier = copy.deepcopy(earlier)
            earlier.batch_repeat_interleave(n)
            ids = ids[:, -1:]
        hidden = decoder(ids.expand(n, -1), past_key_values=earlier, use_cache=earlier is not None).last_hidden_state[:, -1]
        logp = torch.log_softmax(hf.lm_head(hidden), -1)
        logp[:, answer].tolist(), (logp > logp[:, answer, None]).sum(-1).tolist()

    def layer(ids, at, answer, earlier=None):
        taus = torch.tensor(TAUS)[:, None, None]
        hook = W_O[hf.config.model_type](decoder, at).register_forward_hook(lambda module, args, out: out + taus * vector)
        with hook:
            rows(ids, len(TAUS), answer, earlier)

    def clean(ids, answer):
        if not last:
            rows(ids, 1, answer)
            return None
        earlier = decoder(ids[:, :-1], use_cache=True).past_key_values
        rows(ids, 1, answer, earlier)
        return earlier

    total = 0.0
    for p in prompts:
        ids = torch.tensor([[tokenizer.bos_token_id] + tokenizer(p["prompt"])["input_ids"]])
        answer = tokenizer(" " + p["answer"])["input_ids"][0]
        layer(ids, 0, answer, clean(ids, answer))
        start = time.perf_counter()
        earlier = clean(ids, answer)
        middle = time.perf_counter()
        for i in range(SAMPLED):
            layer(ids, i * layers // SAMPLED, answer, earlier)
        end = time.perf_counter()
        total += ((middle - start) + (end - middle) / SAMPLED * layers) / (layers * len(TAUS))
    return total / len(prompts)


def cache(folder, prompts):
    """Every residual stream of each prompt, and nothing after it: no other hook is kept, and nothing is unembedded."""
    peer = TransformerLens(folder, *gpt2.load(folder)).model
    peer.set_use_attn_result(False)
    texts = [p["prompt"] for p in prompts]

    def run(text):
        _, kept = peer.run_with_cache(text, names_filter=lambda name: name.endswith("hook_resid_post"), return_type=None)
        return {name: x.numpy() for name, x in kept.items()}

    return each(run, texts)


def loop(file, prompts):
    """The same of the patched file, prompt by prompt. Texts become tokens before the time is taken."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs() if o.name.endswith("hook_resid_post")]
    tokenizer = AutoTokenizer.from_pretrained(file.parent / "checkpoint")
    feeds = []
    for p in prompts:
        ids = np.array([[tokenizer.bos_token_id] + tokenizer(p["prompt"])["input_ids"]])
        every = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.shape[1])[None]}
        feeds.append({i.name: every[i.name] for i in session.get_inputs()})
    return each(lambda feed: session.run(names, feed), feeds)


def each(run, items):
    """Seconds for each item, after one run that warms up. What the runs give is kept, as in a capture."""
    run(items[0])
    start = time.perf_counter()
    kept = [run(x) for x in items]
    return (time.perf_counter() - start) / len(kept)


def main():
    what, folder, how = sys.argv[1:]
    if what == "build":
        Path(folder).mkdir(parents=True, exist_ok=True)
        print(BUILDERS[how](Path(folder)))
        return
    torch.set_num_threads(int(how) or os.cpu_count())
    with torch.inference_mode():
        print({"lens": lens, "batched": batched, "cached": partial(batched, last=True), "cache": cache, "loop": loop}[what](Path(folder).resolve(), json.load(sys.stdin)))


if __name__ == "__main__":
    main()
