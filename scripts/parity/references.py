"""Two independent references with the same interface: TransformerLens, and the formulas in double precision.

Both answer three questions about the last position of a prompt that starts with <|endoftext|>:
    vector(text, encoding, layer)            the memory, [d_model]
    clean(prompt)                            log-probabilities, [vocab]
    injected(prompt, layer, taus, vector)    the same for each tau, with tau * vector at that layer's attention output, [tau, vocab]
"""

import copy
import os
from pathlib import Path

import torch

ENCODINGS = ("unembed", "embed", "layer")


class TransformerLens:
    """The paper's own code path: folded and centred weights, a hook on head 0 of hook_result, one tau at a time, float32."""

    name = "TransformerLens"

    def __init__(self, model_folder: Path, hf, tokenizer):
        self.model = self.load(model_folder.parent, model_folder.name, hf, tokenizer)
        self.model.set_use_attn_result(True)

    @staticmethod
    def load(at: Path, name: str, hf, tokenizer):
        """Loads the model in the folder of that name, which is one that TransformerLens knows."""
        from transformer_lens import HookedTransformer

        here = os.getcwd()
        os.chdir(at)
        try:
            return HookedTransformer.from_pretrained(
                name, hf_model=hf, tokenizer=tokenizer, device="cpu", default_prepend_bos=True,
                fold_ln=True, center_writing_weights=True, center_unembed=True, fold_value_biases=True,
            )
        finally:
            os.chdir(here)

    def vector(self, text, encoding, layer):
        if encoding == "layer":
            _, cache = self.model.run_with_cache(text)
            return cache[f"blocks.{layer}.hook_attn_out"][0, -1]
        ids = self.model.to_tokens(text, prepend_bos=False)[0]
        hot = torch.zeros(self.model.cfg.d_vocab)
        hot[ids] = 1  # duplicates count once
        return (hot @ (self.model.W_U.T if encoding == "unembed" else self.model.W_E))

    def answer(self, answer):
        return int(self.model.to_tokens(" " + answer, prepend_bos=False)[0][0])

    def clean(self, prompt):
        return self._logp(self.model(prompt)[0, -1])

    def injected(self, prompt, layer, taus, vector):
        return self._logp(torch.stack([self.edited(prompt, layer, tau, vector)[0, -1] for tau in taus]))

    def edited(self, prompt, layer, tau, vector):
        """All logits of one cell, computed as in the paper's loop."""

        def hook(result, hook):
            result[:, :, 0, :] += tau * vector
            return result

        return self.model.run_with_hooks(prompt, fwd_hooks=[(f"blocks.{layer}.attn.hook_result", hook)])

    def _logp(self, logits):
        # the logits are TransformerLens' own; PyTorch's float32 softmax over 50,257 tokens alone has errors of up to 2e-5
        return torch.log_softmax(logits.double(), -1).numpy()


class Formulas:
    """The vectors from the checkpoint's raw parameters, and the unfolded model, all in float64:

    unembed  C(gamma * (sum of E over the memory's distinct tokens - n * mean of E over the vocabulary))
    embed    C(sum of E over the distinct tokens)
    layer    C(attn_out[layer] at the last token of BOS + memory)

    C(x) = x - mean(x); gamma is the weight of the last LayerNorm, E the embedding, n the number of distinct tokens.
    """

    name = "float64 formulas"

    def __init__(self, hf, tokenizer):
        self.model = copy.deepcopy(hf).double().requires_grad_(False)
        self.tokenizer = tokenizer
        self.mean = self.model.transformer.wte.weight.mean(0)

    def vector(self, text, encoding, layer):
        ids = self.tokenizer(text)["input_ids"]
        if encoding == "layer":
            kept = {}
            with self._at(layer, lambda x: kept.setdefault("x", x)):
                self._hidden(text)
            v = kept["x"][0, -1]
        else:
            distinct = sorted(set(ids))
            v = self.model.transformer.wte.weight[distinct].sum(0)
            if encoding == "unembed":
                v = self.model.transformer.ln_f.weight * (v - len(distinct) * self.mean)
        return v - v.mean()

    def answer(self, answer):
        return self.tokenizer(" " + answer)["input_ids"][0]

    def clean(self, prompt):
        return self._logp(self._hidden(prompt))[0]

    def injected(self, prompt, layer, taus, vector):
        tau = torch.tensor(taus, dtype=torch.float64)[:, None, None]
        with self._at(layer, lambda x: x + tau * vector):
            return self._logp(self._hidden(prompt, len(taus)))

    def _at(self, layer, change):
        """Applies change to the attention output of a layer, [batch, pos, d_model]."""
        c_proj = self.model.transformer.h[layer].attn.c_proj
        return c_proj.register_forward_hook(lambda module, args, out: change(out))

    def _hidden(self, text, rows=1):
        """The last position after the last LayerNorm, [rows, d_model]."""
        ids = [self.tokenizer.bos_token_id] + self.tokenizer(text)["input_ids"]
        return self.model.transformer(torch.tensor([ids]).expand(rows, -1)).last_hidden_state[:, -1]

    def _logp(self, hidden):
        return torch.log_softmax(self.model.lm_head(hidden), -1).numpy()
