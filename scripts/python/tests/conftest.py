"""The demo model, and the fixtures of the repository with PyTorch's results."""

from __future__ import annotations

import os
from pathlib import Path

import onnx_inject as oi
import pytest

TESTDATA = Path(__file__).resolve().parents[3] / "models/testdata"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo model: $DEMO, or one that the demo writes now."""
    if stated := os.environ.get("DEMO"):
        return Path(stated)
    folder = tmp_path_factory.mktemp("demo") / "onnx-inject-demo"
    oi.call("demo", out=folder)
    return folder


@pytest.fixture(scope="session")
def model(world: Path) -> oi.Model:
    return oi.open(world)


@pytest.fixture(scope="session")
def patched(model: oi.Model) -> oi.Patched:
    return model.rewrite(expose=["result", "pattern@-1", "resid_post"], inject="all", gate="all")
