"""The decoders of the fixtures in PyTorch, in double precision, and the modules at which their sites are."""

import sys
from dataclasses import dataclass
from typing import Callable

import torch
import transformers as hf
from torch import nn

import weights


@dataclass(frozen=True)
class Family:
    """How a reference's model is built, and where its sites are. Paths of modules are relative to a layer."""

    build: Callable  # makes the model, from the sizes of the reference
    layer: str  # the path of a layer, with {}
    w_o: str  # W_O: its input is z
    mlp: str  # the last matrix of the MLP
    attn_out: str = ""  # the module whose output joins the stream, where that is not W_O
    mlp_out: str = ""  # the same for the MLP
    factor: float = 1.0  # what both are multiplied by before they join
    gain_plus_one: bool = False
    parallel: bool = False  # attention and MLP read the same stream


def sizes(r, **more):
    return dict(vocab_size=r["vocab"], hidden_size=r["d_model"], num_hidden_layers=r["layers"], num_attention_heads=r["heads"], intermediate_size=96,
                max_position_embeddings=64) | more


def gpt2(config, model, **more):
    return lambda r: model(config(vocab_size=r["vocab"], n_positions=48, n_embd=r["d_model"], n_layer=r["layers"], n_head=r["heads"], **more))


def llama(config, **more):
    return lambda r: hf.AutoModelForCausalLM.from_config(config(**sizes(r, **more)), attn_implementation="eager")


class NanoGPT(nn.Module):
    """The module that nanogpt-torchscript.onnx was exported from. Names are those of the file."""

    class Attention(nn.Module):
        def __init__(self, d, heads):
            super().__init__()
            self.heads, self.qkv, self.proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)

        def forward(self, x):
            split = lambda t: t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            q, k, v = map(split, self.qkv(x).chunk(3, -1))
            return self.proj(nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))

    class Block(nn.Module):
        def __init__(self, d, heads):
            super().__init__()
            self.l1, self.l2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.a, self.f, self.p = NanoGPT.Attention(d, heads), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x):
            x = x + self.a(self.l1(x))
            return x + self.p(nn.functional.gelu(self.f(self.l2(x))))

    def __init__(self, r):
        super().__init__()
        d = r["d_model"]
        self.te, self.pe = nn.Embedding(r["vocab"], d), nn.Embedding(48, d)
        self.b, self.n, self.h = nn.ModuleList(NanoGPT.Block(d, r["heads"]) for _ in range(r["layers"])), nn.LayerNorm(d), nn.Linear(d, r["vocab"], bias=False)

    def forward(self, ids, **_):
        x = self.te(ids) + self.pe(torch.arange(ids.shape[1]))
        for block in self.b:
            x = block(x)
        return hf.modeling_outputs.CausalLMOutput(logits=self.h(self.n(x)))


LLAMA = dict(layer="model.layers.{}", w_o="self_attn.o_proj", mlp="mlp.down_proj")
NORMS_AFTER = LLAMA | dict(attn_out="post_attention_layernorm", mlp_out="post_feedforward_layernorm")
GPT2 = dict(layer="transformer.h.{}", w_o="attn.c_proj", mlp="mlp.c_proj")
BLOOM = dict(layer="transformer.h.{}", w_o="self_attention.dense", mlp="mlp.dense_4h_to_h")

# By the name of the reference. The weights are read from the file, relative to models/testdata.
FAMILIES = {
    "gpt2": ("torchscript-op10.onnx", Family(gpt2(hf.GPT2Config, hf.GPT2LMHeadModel), **GPT2)),
    "nano": ("nanogpt-torchscript.onnx", Family(NanoGPT, layer="b.{}", w_o="a.proj", mlp="p")),
    "neo": ("gpt-neo.onnx", Family(lambda r: hf.GPTNeoForCausalLM(hf.GPTNeoConfig(
        vocab_size=r["vocab"], max_position_embeddings=48, hidden_size=r["d_model"], num_layers=r["layers"], num_heads=r["heads"],
        attention_types=[[["global", "local"], 1]], window_size=8)), layer="transformer.h.{}", w_o="attn.attention.out_proj", mlp="mlp.c_proj")),
    "gptj": ("gpt-j.onnx", Family(gpt2(hf.GPTJConfig, hf.GPTJForCausalLM, rotary_dim=4), layer="transformer.h.{}", w_o="attn.out_proj", mlp="mlp.fc_out",
                                  parallel=True)),
    "llama": ("families/optimum-llama.onnx", Family(llama(hf.LlamaConfig, num_key_value_heads=2), **LLAMA)),
    "llama3": ("families/genai-llama3/model.onnx", Family(llama(hf.LlamaConfig, num_key_value_heads=2, tie_word_embeddings=True, rope_theta=5e5, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)), **LLAMA)),
    "qwen2.5": ("families/dynamo18-qwen2.5.onnx", Family(llama(hf.Qwen2Config, num_key_value_heads=1, rope_theta=1e6), **LLAMA)),
    "qwen2-q4": ("families/genai-int4-qwen2-q4.onnx", Family(llama(hf.Qwen2Config, num_key_value_heads=2, tie_word_embeddings=True), **LLAMA)),
    "qwen3-q4": ("families/genai09-int4-qwen3-q4.onnx", Family(llama(hf.Qwen3Config, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True), **LLAMA)),
    "gemma2": ("families/optimum-gemma2.onnx", Family(llama(
        hf.Gemma2Config, num_key_value_heads=2, head_dim=32, query_pre_attn_scalar=20, attn_logit_softcapping=5.0, final_logit_softcapping=8.0,
        sliding_window=4, layer_types=["full_attention", "sliding_attention"]), **NORMS_AFTER,
        gain_plus_one=True)),
    "gemma3-local": ("families/genai09-gemma3-local.onnx", Family(llama(
        hf.Gemma3TextConfig, num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=20, sliding_window=4,
        layer_types=["sliding_attention"] * 2), **NORMS_AFTER, gain_plus_one=True)),
    "phi3": ("families/optimum-phi3.onnx", Family(llama(hf.Phi3Config, num_key_value_heads=2, pad_token_id=0), **LLAMA)),
    "phi": ("families/optimum-phi.onnx", Family(llama(hf.PhiConfig), **LLAMA | dict(w_o="self_attn.dense", mlp="mlp.fc2"), parallel=True)),
    "neox": ("families/optimum-int8-neox.onnx", Family(llama(hf.GPTNeoXConfig, intermediate_size=64, rotary_pct=0.5), layer="gpt_neox.layers.{}", w_o="attention.dense",
                                                       mlp="mlp.dense_4h_to_h", parallel=True)),
    "opt": ("families/dynamo18-opt.onnx", Family(lambda r: hf.OPTForCausalLM(hf.OPTConfig(
        vocab_size=r["vocab"], hidden_size=r["d_model"], num_hidden_layers=r["layers"], ffn_dim=64, num_attention_heads=r["heads"],
        max_position_embeddings=48, word_embed_proj_dim=r["d_model"])), layer="model.decoder.layers.{}", w_o="self_attn.out_proj", mlp="fc2")),
    "bigcode": ("families/optimum-bigcode/model.onnx", Family(gpt2(hf.GPTBigCodeConfig, hf.GPTBigCodeForCausalLM), **GPT2)),
    "falcon": ("families/optimum-falcon.onnx", Family(llama(hf.FalconConfig, ffn_hidden_size=64), **BLOOM, parallel=True)),
    "bloom": ("families/optimum-bloom.onnx", Family(lambda r: hf.BloomForCausalLM(hf.BloomConfig(
        vocab_size=r["vocab"], hidden_size=r["d_model"], n_layer=r["layers"], n_head=r["heads"])), **BLOOM)),
    "olmo2": ("families/optimum-olmo2.onnx", Family(llama(hf.Olmo2Config, num_key_value_heads=2), **NORMS_AFTER)),
    "stablelm": ("families/optimum-stablelm.onnx", Family(llama(hf.StableLmConfig, num_key_value_heads=2, use_qkv_bias=True), **LLAMA)),
    "smollm3": ("families/optimum-smollm3.onnx", Family(llama(hf.SmolLM3Config, num_key_value_heads=2, pad_token_id=0, no_rope_layers=[1, 0, 1]), **LLAMA)),
    "cohere": ("families/optimum-cohere.onnx", Family(llama(hf.CohereConfig, num_key_value_heads=2, logit_scale=0.25), **LLAMA, parallel=True)),
    "granite": ("families/genai09-granite.onnx", Family(llama(
        hf.GraniteConfig, num_key_value_heads=2, residual_multiplier=0.3, embedding_multiplier=6.0, logits_scaling=2.0,
        attention_multiplier=0.1), **LLAMA, factor=0.3)),
}


class Double:
    """The module torch, whose float32 is float64: transformers computes norms, softmax and rotary positions in float32 in any model."""

    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def in_double():
    """Makes transformers compute in double precision throughout, in this process."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    for name, module in list(sys.modules.items()):
        if name.startswith("transformers.") and getattr(module, "torch", None) is torch:
            module.torch = Double()


def build(name, reference, testdata):
    """Returns a reference's model in double precision, and its family."""
    file, family = FAMILIES[name]
    family.build(reference)  # imports the modules of the model
    in_double()
    model = family.build(reference).double().eval().requires_grad_(False)
    weights.load(model, testdata / file, family.gain_plus_one)
    return model, family


@dataclass(frozen=True)
class Change:
    """An intervention: x becomes keep * x + tau * memory. The arrays broadcast to x."""

    keep: torch.Tensor
    tau: torch.Tensor
    memory: torch.Tensor

    def __call__(self, x):
        return self.keep * x + self.tau * self.memory


class Decoder:
    """A reference's model, whose sites can be read and changed."""

    def __init__(self, name, reference, testdata):
        self.model, self.family = build(name, reference, testdata)
        self.layers, self.heads = reference["layers"], reference["heads"]

    def module(self, layer, path):
        return self.model.get_submodule(f"{self.family.layer.format(layer)}.{path}".rstrip("."))

    def run(self, ids, changes=None, out=None):
        """Returns the logits and the values by hook. changes holds a Change by (site, layer), out a value by layer that replaces what W_O gives.

        A hook shows the value before the change at its own site, as the contract of interventions has it.
        """
        f, changes, out = self.family, changes or {}, out or {}
        shape, seen, after, hooks = (*ids.shape, -1), {}, {}, []

        def at(site, layer, x, factor=1.0, heads=False):
            """Records the value of a site, and returns it changed, in x's own shape and without the factor that follows."""
            value = x.reshape(*shape[:2], self.heads, -1) if heads else x.reshape(shape)
            seen[site, layer] = factor * value
            change = changes.get((site, layer))
            # a copy, because Falcon adds attention's output to the MLP's in place
            new = value.clone() if change is None else Change(change.keep, change.tau, change.memory / factor)(value)
            after[site, layer] = factor * new
            return new.reshape(x.shape)

        def enters(site, layer, **how):
            return lambda module, args: (at(site, layer, args[0], **how), *args[1:])

        def leaves(site, layer, **how):
            def hook(module, args, result):
                if isinstance(result, tuple):
                    return (at(site, layer, result[0], **how), *result[1:])
                return at(site, layer, result, **how)

            return hook

        for layer in range(self.layers):
            module = lambda path: self.module(layer, path)
            hooks.append(module("").register_forward_pre_hook(enters("resid_pre", layer)))
            hooks.append(module(f.w_o).register_forward_pre_hook(enters("z", layer, heads=True)))
            if layer in out:
                hooks.append(module(f.w_o).register_forward_hook(lambda module, args, result, value=out[layer]: value.reshape(result.shape)))
            if f.attn_out or f.factor != 1:
                hooks.append(module(f.w_o).register_forward_hook(leaves("out", layer)))
            hooks.append(module(f.attn_out or f.w_o).register_forward_hook(leaves("attn_out", layer, factor=f.factor)))
            hooks.append(module(f.mlp_out or f.mlp).register_forward_hook(leaves("mlp_out", layer, factor=f.factor)))
            hooks.append(module("").register_forward_hook(leaves("resid_post", layer)))
        try:
            logits = self.model(ids, use_cache=False).logits
        finally:
            for hook in hooks:
                hook.remove()
        for layer in range(self.layers):
            matrix = self.module(layer, f.w_o).weight
            if not isinstance(self.module(layer, f.w_o), hf.pytorch_utils.Conv1D):
                matrix = matrix.T  # [head * d_head, d_model]
            seen["result", layer] = torch.einsum("bphd,hdm->bphm", after["z", layer], matrix.reshape(self.heads, -1, matrix.shape[-1]))
            if not f.parallel:
                seen["resid_mid", layer] = after["resid_pre", layer] + after["attn_out", layer]
        return logits, {hook_name(site, layer): value for (site, layer), value in seen.items()}


def hook_name(site, layer):
    """Returns the name of a hook in the style of TransformerLens."""
    return f"blocks.{layer}.{'attn.' if site in ('z', 'result', 'out') else ''}hook_{site}"
