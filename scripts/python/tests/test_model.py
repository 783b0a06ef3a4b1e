"""Numbers of the Python API against PyTorch, plain onnxruntime, and the program's own runs, which feed the model in Go."""

from __future__ import annotations

import gc
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_inject as oi
import onnxruntime
import pytest
from conftest import TESTDATA

PROMPT = "People in the land of Machu Picchu speak"


def probability(cache: oi.Cache, token: int) -> float:
    x = cache.logits[0, -1].astype(np.float64)
    return float(np.exp(x[token] - x.max()) / np.exp(x - x.max()).sum())


def stored(entry: dict[str, Any]) -> npt.NDArray[np.float64]:
    return np.array(entry["data"], np.float64).reshape(entry["shape"])


def test_inspect(model: oi.Model) -> None:
    info = model.inspect()
    assert {k: info[k] for k in ("family", "layers", "heads", "d_head", "d_model", "vocab")} == {
        "family": "gpt2", "layers": 6, "heads": 4, "d_head": 32, "d_model": 128, "vocab": 1417}
    assert "6 layers" in repr(model)


def test_off_is_the_original(model: oi.Model, patched: oi.Patched) -> None:
    """With every port off, the logits are those of the original file, bit for bit."""
    cache = patched.run(PROMPT)
    ids = np.array([cache.ids])
    plain = onnxruntime.InferenceSession(str(Path(model.path, "model.onnx")))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.shape[1])[None]}
    assert np.array_equal(plain.run(["logits"], feed)[0], cache.logits)


def test_ports(patched: oi.Patched) -> None:
    cache = patched.run(PROMPT)
    assert set(cache) == {p["name"] for p in patched.ports if p["io"] == "out"}
    assert cache["blocks.3.attn.hook_result"].shape == (1, len(cache.ids), 4, 128)
    pattern = cache["blocks.5.attn.hook_pattern"]
    assert np.allclose(pattern.sum(-1), 1, atol=1e-5) and np.array_equal(pattern, np.tril(pattern))
    with pytest.raises(KeyError, match="want an exposed port, got 'blocks.9"):
        cache["blocks.9.attn.hook_z"]


@pytest.mark.parametrize("site, layer, tau, positions", [
    ("attn_out", 0, 1, "all"), ("attn_out", 3, 2.5, "last"), ("mlp_out", 2, 1, "all"), ("resid_pre", -1, 0.5, "all"), ("resid_post", 4, 1, "last")])
def test_memory(model: oi.Model, site: str, layer: int, tau: float, positions: Any) -> None:
    """The probability of the answer is that of `onnx-inject run`."""
    with model.rewrite(inject=f"{site}@all") as p:
        got = p.run(PROMPT, memory=" Peru", layer=layer, tau=tau, site=site, positions=positions)
        again = p.run(got.ids, memory=model.encode(" Peru"), layer=layer, tau=tau, site=site, positions=positions)
    want = model.call("run", prompt=PROMPT, memory=" Peru", layer=layer, tau=tau, site=site, positions=positions, answer="Spanish")["answer"]
    assert want["p_injected"] != pytest.approx(want["p_clean"], rel=1e-3)
    assert probability(got, want["id"]) == pytest.approx(want["p_injected"], rel=1e-4)
    assert np.array_equal(got.logits, again.logits)


def test_several_layers_and_heads(model: oi.Model) -> None:
    with model.rewrite(inject="all", gate="z@all") as p:
        several = probability(p.run(PROMPT, memory=" Peru", layer=[0, 1], tau=0.5), 678)
        keep = np.ones((4, 1))
        keep[2] = 0
        ablated = probability(p.run(PROMPT, feeds={"blocks.1.attn.hook_z.keep": keep}), 678)
    want = model.call("run", prompt=PROMPT, memory=" Peru", layer="0-1", tau=0.5, answer="Spanish")["answer"]
    assert several == pytest.approx(want["p_injected"], rel=1e-4)
    want = model.call("run", prompt=PROMPT, ablate="z@1.2", answer="Spanish")["answer"]
    assert want["p_injected"] != want["p_clean"] and ablated == pytest.approx(want["p_injected"], rel=1e-4)


def test_vector_by_head(model: oi.Model, tmp_path: Path) -> None:
    vector = np.random.default_rng(7).normal(size=(4, 32)).astype(np.float32)
    np.save(tmp_path / "z.npy", vector.ravel())
    with model.rewrite(inject="z@2") as p:
        got = p.run(PROMPT, memory=vector, layer=2, tau=1.5, site="z")
    want = model.call("run", prompt=PROMPT, vector=tmp_path / "z.npy", layer=2, tau=1.5, site="z", answer="Spanish")["answer"]
    assert probability(got, want["id"]) == pytest.approx(want["p_injected"], rel=1e-4)


ONE_TOKEN = "optimum-1-with-past.onnx"  # a file that takes one token at a time
CASES = [c for c in json.loads((TESTDATA / "cases.json").read_text()) if c["atol"] <= 1e-4 and c["file"] != ONE_TOKEN]


def test_one_token_at_a_time(tmp_path: Path) -> None:
    with oi.open(shutil.copy(TESTDATA / ONE_TOKEN, tmp_path)).rewrite(inject="all") as p, pytest.raises(oi.OnnxInjectError, match="takes one token at a time"):
        p.run([1, 2])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["file"])
def test_fixtures(case: dict[str, Any], tmp_path: Path) -> None:
    """Files of every exporter, with a cache and without, give PyTorch's activations and injected logits."""
    reference = json.loads((TESTDATA / case["ref"]).read_text())
    for f in TESTDATA.glob(Path(case["file"]).name + "*"):
        shutil.copy(f, tmp_path)
    m = oi.open(tmp_path / case["file"])
    with m.rewrite(expose=["result", "attn_out"], inject="all") as p:
        for row, ids in enumerate(reference["input_ids"]):
            cache = p.run(ids)
            assert np.abs(cache.logits[0] - stored(reference["logits"])[row]).max() < case["atol"]
            for name, value in cache.items():
                assert np.abs(value[0] - stored(reference["activations"][name])[row]).max() < case["atol"], name
            for run in reference["injected"]:
                if run.get("site", "attn_out") != "attn_out":
                    continue
                vector = stored(reference["memory"][run["memory"]])
                got = p.run(ids, memory=vector, layer=run["layers"], tau=run["tau"], positions=run["positions"])
                assert np.abs(got.logits[0] - stored(run["logits"])[row]).max() < case["atol"], run["layers"]


def test_temporary_copies(model: oi.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy without a name is in the folder of the weights, and elsewhere if that cannot be written. None remains."""
    before = set(os.listdir(model.path))
    p = model.rewrite(expose="z@0")
    path = p.path
    assert Path(path).parent == Path(model.path) and Path(path).stat().st_size < 1_000_000
    want = p.run(PROMPT)["blocks.0.attn.hook_z"]
    del p
    gc.collect()
    assert not os.path.exists(path) and set(os.listdir(model.path)) == before

    monkeypatch.setattr(os, "access", lambda *_: False)
    with model.rewrite(expose="z@0") as p:
        assert Path(p.path).parent != Path(model.path)
        assert np.array_equal(p.run(PROMPT)["blocks.0.attn.hook_z"], want)
    assert not Path(p.path).parent.exists()


def test_named_copy(model: oi.Model, tmp_path: Path) -> None:
    p = model.rewrite(tmp_path / "heads.onnx", expose="z@0", weights="embed")
    p.close()
    assert oi.open(tmp_path / "heads.onnx").info["ports"] == p.ports
    with pytest.raises(oi.OnnxInjectError, match="exists"):
        model.rewrite(tmp_path / "heads.onnx", expose="z@0")


def test_refused(patched: oi.Patched) -> None:
    for keywords, message in [
        ({"memory": " Peru"}, "want memory and layer"),
        ({"memory": " Peru", "layer": 0, "site": "z"}, r"want a port for memories at z of layer 0, got layers \[\]: rewrite with inject=\"z@0\""),
        ({"memory": " Peru", "layer": 9}, "want a port for memories at attn_out of layer 9"),
        ({"memory": np.ones(3), "layer": 0}, r"port blocks.0.attn.memory: want a value of shape .*, got \[3\]"),
        ({"memory": " Peru", "layer": 0, "positions": "first"}, "want positions 'all' or 'last', got 'first'"),
        ({"feeds": {"blocks.0.attn.bias": 1}}, "want input ports, got blocks.0.attn.bias"),
    ]:
        with pytest.raises(ValueError, match=message):
            patched.run(PROMPT, **keywords)  # type: ignore[arg-type]
    with pytest.raises(oi.OnnxInjectError):
        patched.run(PROMPT, memory="", layer=0)
