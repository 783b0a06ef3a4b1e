"""Feeds: a value for every declared input of an exported decoder, for a prompt without a cache."""

import numpy as np

TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_,
}
IDS = {"input_ids", "ids", "idx", "tokens", "token_ids", "input", "inputs", "decoder_input_ids"}


def empty_cache(shape, batch):
    """Returns a cache without positions. The batch axis is the fourth from the end: the first, or the second of [2, batch, heads, past, d]."""
    sizes = [d if isinstance(d, int) and d >= 0 else 0 for d in shape]
    sizes[max(0, len(sizes) - 4)] = batch
    return np.zeros(sizes)


def scalar(value, shape):
    """Returns a value as a scalar, or as a vector of one element when the file declares that."""
    return np.full([1] * len(shape), value)


# Each entry is a test of an input's name, and its value for ids [batch, pos] and the declared shape. The first entry whose test
# succeeds is used. The test of caches is last, because other names also contain "cache" or "past".
INPUTS = [
    (lambda name: name in IDS, lambda ids, shape: ids),
    (lambda name: name == "attention_mask", lambda ids, shape: np.ones(ids.shape)),
    (lambda name: name == "position_ids", lambda ids, shape: np.broadcast_to(np.arange(ids.shape[1]), ids.shape[-len(shape):])),
    (lambda name: name == "cache_position", lambda ids, shape: np.arange(ids.shape[1])),
    (lambda name: name == "use_cache_branch", lambda ids, shape: scalar(False, shape)),
    (lambda name: name == "num_logits_to_keep", lambda ids, shape: scalar(0, shape)),  # 0 means all
    (lambda name: name.endswith("seqlens_k"), lambda ids, shape: np.full(ids.shape[0], ids.shape[1] - 1)),
    (lambda name: name.endswith("total_sequence_length"), lambda ids, shape: scalar(ids.shape[1], shape)),
    (lambda name: "past" in name or "cache" in name, lambda ids, shape: empty_cache(shape, ids.shape[0])),
]


def feeds(inputs, ids, ports):
    """Returns a value for each input: the value from ports for added inputs, otherwise the usual value for its name."""
    out = {}
    for i in inputs:
        if i.type not in TYPES:
            raise ValueError(f"input {i.name!r} has type {i.type}: want one of {', '.join(TYPES)}")
        value = ports.get(i.name)
        if value is None:
            value = next((make(ids, i.shape) for test, make in INPUTS if test(i.name)), None)
        if value is None:
            raise ValueError(f"input {i.name!r} of type {i.type}, shape {i.shape}: the checker does not know its value; add it to the table in feeds.py")
        out[i.name] = np.array(value, dtype=TYPES[i.type], order="C")
    return out
