"""The notebook runs from its first cell to its last. Its cells compare their numbers with those of the demo."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).resolve().parents[1] / "experiments.ipynb"


def test_experiments(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    assert not any(c.get("outputs") for c in notebook.cells), "want a notebook without outputs in the repository"
    nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [o["data"]["image/png"] for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 4
    out = os.environ.get("NOTEBOOK_OUT")
    if out:
        nbformat.write(notebook, Path(out) / "experiments.ipynb")  # type: ignore[no-untyped-call]
        for i, picture in enumerate(pictures):
            (Path(out) / f"experiments-{i + 1}.png").write_bytes(base64.b64decode(picture))
