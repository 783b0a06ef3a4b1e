"""Train the demo model: the GPT-2 of transformers on the demo world, fixed seeds, about eight minutes on two CPU cores.

usage: train.py -o FOLDER
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

import world

POSITIONS = 64
LAYERS, HEADS, D_MODEL = 6, 4, 128
BATCH, STEPS, RATE, WARMUP = 96, 1800, 1e-3, 100


def make_tokenizer(texts: list[str], folder: Path) -> GPT2Tokenizer:
    """Byte-level BPE in GPT-2's file format, with <|endoftext|> last. Merging continues until every word of the texts is one token."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=4000, min_frequency=2, show_progress=False)
    bpe.save_model(str(folder))
    path = folder / "vocab.json"
    vocab = json.loads(path.read_text(encoding="utf-8"))
    vocab[world.BOS] = len(vocab)
    path.write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    return GPT2Tokenizer(str(path), str(folder / "merges.txt"), model_max_length=POSITIONS)


def batches(data: list[list[int]], seed: int):
    """Endless batches of texts of similar length, in an order that depends on the seed."""
    gen = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(data), generator=gen).tolist()
        order.sort(key=lambda i: len(data[i]) // 4)  # stable: shuffled within a length
        chunks = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        for k in torch.randperm(len(chunks), generator=gen).tolist():
            rows = [data[i] for i in chunks[k]]
            width = max(map(len, rows))
            ids = torch.zeros(len(rows), width, dtype=torch.long)
            labels = torch.full((len(rows), width), -100)
            for i, row in enumerate(rows):
                ids[i, : len(row)] = labels[i, : len(row)] = torch.tensor(row)
            yield ids, labels


def used_rows(model: GPT2LMHeadModel, data: list[list[int]]) -> torch.Tensor:
    """A mask of the tokens in the texts. The others are single bytes and steps of longer merges, more than half of the vocabulary."""
    used = torch.zeros(model.config.vocab_size, dtype=torch.bool)
    used[sorted({i for row in data for i in row})] = True
    return used


def settle(model: GPT2LMHeadModel, used: torch.Tensor) -> None:
    """Give every unused token the mean row of the used ones, as is usual for tokens added to a trained model.

    During training their rows keep their initial values. Otherwise training would push all of them in the same direction, so that they are never
    predicted, and the mean row, which the unembed encoding subtracts, would be mostly that direction.
    """
    e = model.transformer.wte.weight
    with torch.no_grad():
        e[~used] = e[used].mean(0)


def train(folder: Path) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    texts = world.corpus()
    tok = make_tokenizer(texts, folder)
    bos = tok.convert_tokens_to_ids(world.BOS)
    data = [[bos] + tok.encode(t) for t in texts]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tok), n_positions=POSITIONS, n_embd=D_MODEL, n_layer=LAYERS, n_head=HEADS, bos_token_id=bos, eos_token_id=bos,
            attn_pdrop=0.0, embd_pdrop=0.05, resid_pdrop=0.05,
        )
    )
    print(f"{len(data)} texts, {sum(map(len, data))} tokens, vocabulary {len(tok)}, {model.num_parameters()} parameters", flush=True)
    used = used_rows(model, data)
    model.transformer.wte.weight.register_hook(lambda grad: grad * used[:, None])
    opt = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.1, betas=(0.9, 0.98), fused=True)
    model.train()
    start = time.monotonic()
    for step, (ids, labels) in zip(range(STEPS), batches(data, seed=0)):
        rate = RATE * min(1, (step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS)) + 1e-5
        for group in opt.param_groups:
            group["lr"] = rate
        loss = model(input_ids=ids, labels=labels).loss
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if step % 200 == 0:
            print(f"step {step} loss {loss.item():.3f} {time.monotonic() - start:.0f} s", flush=True)
    settle(model, used)
    model.eval().save_pretrained(folder)
    tok.save_pretrained(folder)
    print(f"trained in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("-o", type=Path, required=True, help="folder for config, tokenizer and weights")
    train(args.parse_args().o)
