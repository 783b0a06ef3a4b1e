"""Calls of the program: errors, notes, flags, and the library that it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_inject as oi
import onnxruntime
import pandas as pd
import pytest


def test_error(tmp_path: Path) -> None:
    with pytest.raises(oi.OnnxInjectError) as caught:
        oi.open(tmp_path / "none")
    e = caught.value
    assert e.message.endswith("no such file or folder") and e.hint.startswith("want an ONNX file") and e.exit_code == 3 and e.result is None
    assert str(e) == f"{e.message}\nhint: {e.hint}"
    with pytest.raises(oi.OnnxInjectError) as caught:
        oi.call("inspect", tmp_path, colour=True)
    assert caught.value.exit_code == 2


def test_result_of_a_failed_check(model: oi.Model) -> None:
    """A memory without an effect is an error, and its document is there all the same."""
    with pytest.raises(oi.OnnxInjectError, match="no effect") as caught:
        model.call("run", prompt="People", memory=" Peru", layer=0, tau=1e-30)
    assert caught.value.exit_code == 4 and caught.value.result["no_effect"] is True


def test_notes_are_logged(model: oi.Model, caplog: pytest.LogCaptureFixture) -> None:
    model.rewrite(prefill=True).close()
    assert [r.levelname for r in caplog.records if "has no cache: --prefill changes nothing" in r.message] == ["WARNING"]


def test_texts_are_passed_as_they_are(model: oi.Model) -> None:
    for text in [" Peru", "-x --json", "a\nb", "größer 山", '"quoted" \\']:
        assert model.tokens(text, prompt=False) == model.call("tokens", text)["ids"] if not text.startswith("-") else model.tokens(text)
    assert model.tokens("Peru")[1:] == model.tokens("Peru", prompt=False)


def test_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program loads the library of the installed onnxruntime, unless the user names another one."""
    found = oi.library()
    assert found and Path(found).parent == Path(onnxruntime.__file__).parent / "capi"
    which = oi.call("ort which")
    assert which["path"] == found and which["version"] == onnxruntime.__version__ and which["source"] == "onnxruntime package"
    assert oi.call("ort doctor")["loaded_version"] == onnxruntime.__version__
    monkeypatch.setenv("ONNX_INJECT_ORT_LIB", "/nowhere/libonnxruntime.so")
    with pytest.raises(oi.OnnxInjectError, match="/nowhere") as caught:
        oi.call("ort which")
    assert caught.value.exit_code == 3


def test_command(tmp_path: Path) -> None:
    """`python -m onnx_inject` and `onnx-inject` pass on arguments, output and exit codes."""
    def run(*line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)

    for line in [[sys.executable, "-m", "onnx_inject"], [str(Path(sys.executable).parent / "onnx-inject")]]:
        assert run(*line, "version").stdout.startswith("onnx-inject ")
        assert run(*line, "ort", "which").stdout.strip() == oi.library()
        failed = run(*line, "inspect", "none")
        assert failed.returncode == 3 and failed.stderr.startswith("onnx-inject: ")
    # The command starts quickly: it imports neither numpy nor onnxruntime.
    code = "import sys, onnx_inject.__main__; print([m for m in ('numpy', 'onnxruntime', 'pandas') if m in sys.modules])"
    assert run(sys.executable, "-c", code).stdout == "[]\n"


def test_missing_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onnx_inject._program as program

    monkeypatch.delenv("ONNX_INJECT", raising=False)
    monkeypatch.setattr(program, "__file__", str(tmp_path / "_program.py"))
    with pytest.raises(oi.OnnxInjectError, match="want the program in .*, got no file"):
        oi.program()


def test_encode(model: oi.Model) -> None:
    folded, raw = oi.encode(model, " Peru"), oi.encode(model.path, " Peru", convention="raw")
    assert folded.shape == (128,) and folded.dtype == np.float32 and not np.array_equal(folded, raw)
    assert np.linalg.norm(folded) == pytest.approx(1.2238014, rel=1e-6)
    assert not np.array_equal(oi.encode(model, " Peru", encoding="layer", layer=2), oi.encode(model, " Peru", encoding="layer", layer=3))
    with pytest.raises(oi.OnnxInjectError, match="needs --layer"):
        oi.encode(model, " Peru", encoding="layer")


def test_evaluate(model: oi.Model, world: Path, patched: oi.Patched, tmp_path: Path) -> None:
    """Every cell is what one run in the installed onnxruntime gives."""
    cells = oi.evaluate(model, world / "prompts.csv", layers=[0, 3], taus=np.array([0.5, 1]), limit=2, out=tmp_path / "cells")
    assert len(cells) == 2 * 2 * 2 and (tmp_path / "cells/manifest.json").exists()
    prompts = pd.read_csv(world / "prompts.csv")
    for c in cells.to_dict("records"):
        row = prompts.iloc[int(c["prompt"])]
        cache = patched.run(row.obscure_sentence, memory=row.explicit_entity, layer=int(c["layer"]), tau=c["tau"])
        x = cache.logits[0, -1].astype(np.float64)
        answer = model.tokens(" " + row.answer, prompt=False)[0]
        assert x[answer] - x.max() - np.log(np.exp(x - x.max()).sum()) == pytest.approx(c["logp_answer"], abs=2e-5)
        assert c["relation"] == row.relation
    assert cells.attrs["summary"]["series"][0]["source"] == "curated"

    heads = oi.evaluate(model, prompts.head(1), op="ablate", sites="z", heads=[0, 2], layers=1)
    assert list(heads["head"]) == [0, 2] and set(heads["site"]) == {"z"} and heads.attrs["summary"]["series"][0]["harm"]
    frame = oi.evaluate(model, prompts.head(2), layers="0,3", taus="0.5,1")
    assert np.array_equal(frame.p_answer, cells.p_answer)
    own = oi.evaluate(model, prompts.head(2).drop(columns="relation").assign(rank=[3, 4], note=["=1+1", "b"]), layers=0, taus=1)
    assert list(own.columns[-2:]) == ["data_rank", "note"] and list(own.data_rank) == [3, 4] and list(own.note) == ["'=1+1", "b"]
    assert "relation" not in own
    with pytest.raises(oi.OnnxInjectError, match="layer") as caught:
        oi.evaluate(model, prompts.head(1), layers=9)
    assert caught.value.exit_code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_interrupt(model: oi.Model, world: Path, tmp_path: Path) -> None:
    """Ctrl-C in Python ends the program, and what it finished stays."""
    code = f"import onnx_inject as oi; print('x', flush=True); oi.evaluate({model.path!r}, {str(world / 'prompts.csv')!r}, out={str(tmp_path / 'r')!r})"
    p = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    rows = tmp_path / "r/prompts.csv"
    while p.poll() is None and not (rows.exists() and rows.read_text().count("\n") > 2):
        pass
    os.kill(p.pid, 2)  # Python alone, as a notebook does
    _, err = p.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    assert len(pd.read_csv(rows)) >= 2
