"""Models, their patched copies, and what a run of a copy computes."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

from ._program import call, output

# numpy, onnxruntime and pandas are imported where they are used: the command onnx-inject needs none of them.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnxruntime
    import pandas as pd

StrPath = Union[str, "os.PathLike[str]"]
Item = Union[str, int]

_TYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(int64)": "int64", "tensor(int32)": "int32",
    "tensor(int8)": "int8", "tensor(uint8)": "uint8", "tensor(bool)": "bool",
}
_ATTN_OUT = "attn_out"  # the site of ports whose entry names none


def open(model: StrPath) -> Model:
    """Opens a model: an ONNX file, or a folder with an ONNX file, config.json and the tokenizer's files.

    Raises:
        OnnxInjectError: no decoder was recognised in it; the message says why.
    """
    return Model(model)


def encode(model: StrPath | Model, text: str, *, encoding: str = "unembed", convention: str = "tl-folded", layer: int | None = None) -> npt.NDArray[np.float32]:
    """Returns the memory vector [d_model] of a text.

    Args:
        model: the model that the vector is for.
        text: the text; " Peru" and "Peru" are different tokens.
        encoding: "unembed" sums the columns of the text's tokens in the unembedding, "embed" their rows in the embedding, "layer" is the
            attention output of a layer at the last token.
        convention: "tl-folded", the form that the vector has in TransformerLens, or "raw", that in the file.
        layer: the layer of the encoding "layer".
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "vector.npy")
        call("encode", _path(model), text=text, encoding=encoding, convention=convention, layer=layer, out=out)
        vector: npt.NDArray[np.float32] = np.load(out)
    return vector


def evaluate(
    model: StrPath | Model, data: StrPath | pd.DataFrame, *, out: StrPath | None = None, layers: Item | Sequence[int] = "all",
    taus: Item | float | Sequence[float] | npt.NDArray[Any] | None = None, memory: StrPath | Sequence[StrPath] | None = None, **flags: Any,
) -> pd.DataFrame:
    """Evaluates every cell of prompts x sites x layers x heads x taus x memories, and returns one row per cell.

    The columns are those of cells.csv: prompt, layer, tau, source, memory, p_answer, logp_answer, rank, status, p_obscure, p_explicit and
    others, and then the further columns of the data, such as relation, for ``groupby``. A further column with a name that the results use,
    such as rank, is data_rank. ``attrs["summary"]`` of the result has the statistics.

    Args:
        model: the model.
        data: a .csv or .jsonl file, or a frame, with the paper's columns (explicit_sentence, obscure_sentence, explicit_entity, answer) or
            with prompt, memory, answer.
        out: the folder of the results; an evaluation that was stopped resumes there. None: a temporary folder.
        layers: "all", a layer or several.
        taus: "0.5:2:0.25", a number or several; None: those that fit the operation, "1:15" for add.
        memory: sources of memories: "curated", "wrong", "entity", "random:FILE" and others (``onnx-inject help eval``); None: "curated",
            or none for the operations that need none.
        flags: any other flag of ``onnx-inject eval``, such as ``sites="resid_post"``, or ``op="ablate", sites="z", heads="all"``.

    Raises:
        OnnxInjectError: exit code 8 if some scores are not finite: ``out`` has all of them.
    """
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        if isinstance(data, pd.DataFrame):
            table = Path(folder, "data.csv")
            data.to_csv(table, index=False)
            data = table
        where = Path(out) if out is not None else Path(folder, "results")
        done = call("eval", _path(model), data=data, out=where, layers=layers, taus=taus, memory=memory, **flags)
        cells = pd.read_csv(where / "cells.csv")
        further = len(json.loads((where / "manifest.json").read_text(encoding="utf-8")).get("columns", []))
        if further:  # they are the last columns before the checksum
            prompts = pd.read_csv(where / "prompts.csv", index_col="prompt")
            cells = cells.join(prompts.iloc[:, -1 - further : -1], on="prompt")
    cells.attrs["summary"] = done["summary"]
    return cells


class Model:
    """A decoder in an ONNX file, recognised by its structure. :func:`open` makes one.

    Attributes:
        path: the file or folder, absolute.
        info: what ``onnx-inject inspect --json`` reports: family, layers, heads, d_head, d_model, vocab, sites, ports, inputs, outputs.
    """

    def __init__(self, model: StrPath) -> None:
        self.path = os.path.abspath(model)
        self.info: dict[str, Any] = self.inspect()

    def __repr__(self) -> str:
        i = self.info
        return f"<{type(self).__name__} {self.path!r}: {i['family']}, {i['layers']} layers, {i['heads']} heads of {i['d_head']}, d_model {i['d_model']}>"

    def __fspath__(self) -> str:
        return self.path

    def call(self, command: str, *args: StrPath, **flags: Any) -> Any:
        """Runs a command of the program on this model and returns its JSON document: ``m.call("lens", prompt="…", attribution=True)``."""
        return call(command, self.path, *args, **flags)

    def inspect(self) -> dict[str, Any]:
        """Describes the file: the family, the layers, the sites that can be exposed and changed, the ports, inputs and outputs."""
        info: dict[str, Any] = self.call("inspect")
        return info

    def tokens(self, text: str, *, prompt: bool = True) -> list[int]:
        """Returns the ids of a text. A prompt begins with the beginning-of-text token, if the tokenizer has one; a memory does not."""
        ids: list[int] = json.loads(output("tokens", self.path, stdin=json.dumps(text) + "\n", lines=True, quoted=True, prompt=prompt))
        return ids

    def encode(self, text: str, *, encoding: str = "unembed", convention: str = "tl-folded", layer: int | None = None) -> npt.NDArray[np.float32]:
        """Returns the memory vector of a text, as :func:`encode` does."""
        return encode(self, text, encoding=encoding, convention=convention, layer=layer)

    def rewrite(
        self, out: StrPath | None = None, *, expose: Item | Sequence[Item] = (), inject: Item | Sequence[Item] = (), gate: Item | Sequence[Item] = (), **flags: Any,
    ) -> Patched:
        """Writes a copy of the model with ports: outputs that show what it computes, and inputs that change it.

        The copy refers to the weights of the original, which stay where they are.

        Args:
            out: the file to write. None: a hidden file in the folder of the model, which is removed when the result is closed or no longer
                used; in a temporary folder, with its own weights, if the model's folder cannot be written.
            expose: what to show: "result", "pattern@-1", "resid_post@0-3,7" and others.
            inject: where a memory can be added: "all", 7, "mlp_out@0-3".
            gate: where the model's own value can be multiplied, in the same form.
            flags: any other flag of ``onnx-inject rewrite``, such as ``bake=True, memory="Peru", layer=0``.
        """
        flags |= {"expose": expose, "inject": inject, "gate": gate}
        if out is not None:
            call("rewrite", self.path, out=out, **flags)
            return Patched(out, self)
        return Patched(self._temporary(flags), self, temporary=True)

    def _temporary(self, flags: dict[str, Any]) -> str:
        folder = os.path.dirname(os.path.abspath(self.info["file"]))
        if not os.access(folder, os.W_OK):
            folder = tempfile.mkdtemp(prefix="onnx-inject-")
        handle, path = tempfile.mkstemp(prefix=".onnx-inject-", suffix=".onnx", dir=folder)
        os.close(handle)
        try:
            call("rewrite", self.path, out=path, force=True, **flags)
        except BaseException:
            _remove(path)
            raise
        return path


class Cache(Mapping[str, "npt.NDArray[Any]"]):
    """What one run computed. A mapping from the names of the exposed ports to arrays, such as ``cache["blocks.3.attn.hook_result"]``.

    Attributes:
        logits: [batch, pos, vocab].
        ids: the tokens of the prompt.
    """

    def __init__(self, logits: npt.NDArray[Any], ports: dict[str, npt.NDArray[Any]], ids: list[int]) -> None:
        self.logits, self.ids, self._ports = logits, ids, ports

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        try:
            return self._ports[name]
        except KeyError:
            raise KeyError(f"want an exposed port, got {name!r}; exposed are {', '.join(self._ports) or 'none'}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    def __repr__(self) -> str:
        return f"<Cache of {len(self.ids)} tokens: {', '.join(self) or 'no ports'}>"


class Patched(Model):
    """A copy with ports, which :meth:`Model.rewrite` made. Use it in a ``with`` statement, or :meth:`close` it, to remove a temporary copy early.

    Attributes:
        original: the model that it is a copy of.
        ports: the ports, each with name, kind, layer, io ("in" or "out") and shape; inputs at another site than attn_out have site.
    """

    def __init__(self, model: StrPath, original: Model, *, temporary: bool = False) -> None:
        self.original = original
        self._remove = weakref.finalize(self, _remove, os.path.abspath(model) if temporary else None)
        super().__init__(model)
        self.ports: list[dict[str, Any]] = self.info["ports"]
        self._runnable: Patched | None = None
        self._session: onnxruntime.InferenceSession | None = None

    def __enter__(self) -> Patched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the session, and removes the file if it is temporary."""
        if self._runnable is not None and self._runnable is not self:
            self._runnable.close()
        self._session = self._runnable = None
        self._remove()

    def session(self) -> onnxruntime.InferenceSession:
        """Returns the session of the installed onnxruntime that :meth:`run` uses."""
        if self._session is None:
            import onnxruntime

            self._session = onnxruntime.InferenceSession(self._without_cache().path, providers=["CPUExecutionProvider"])
        return self._session

    def _without_cache(self) -> Patched:
        """Returns a copy that takes whole texts: this one, or one whose cache the program has removed."""
        if self._runnable is None:
            roles = {i.get("role") for i in self.info["inputs"]}
            self._runnable = self if roles <= {"tokens", "mask", "positions", "port", "unused"} else self.rewrite(prefill=True)
        return self._runnable

    def run(
        self, prompt: str | Sequence[int], *, memory: str | npt.ArrayLike | None = None, layer: int | Sequence[int] | None = None, tau: float = 1.0,
        site: str = _ATTN_OUT, positions: Literal["all", "last"] = "all", encoding: str = "unembed", convention: str = "tl-folded",
        feeds: Mapping[str, npt.ArrayLike] | None = None,
    ) -> Cache:
        """Runs a prompt in the installed onnxruntime, on the CPU. All ports are off except those named here.

        Args:
            prompt: a text, or the ids of its tokens.
            memory: a text, which :func:`encode` makes a vector, or a vector. It is added times tau.
            layer: the layer or layers that get the memory; -1 is the last.
            tau: the magnitude.
            site: where the memory enters, "attn_out" by default. A vector at "z" has all heads, [head, d_head].
            positions: "all", or "last" for the last position of the prompt.
            encoding, convention: the form of a text's vector.
            feeds: values for other input ports by name, such as ``{"blocks.3.attn.keep": 0}`` to ablate; broadcast to the port's shape.

        Raises:
            ValueError: a port that is needed is not in the file.
            OnnxInjectError: the program refused the text.
        """
        import numpy as np

        if (memory is None) != (layer is None):
            raise ValueError("want memory and layer, or neither of them")
        ids = self.original.tokens(prompt) if isinstance(prompt, str) else [int(i) for i in prompt]
        given: dict[str, Any] = dict(feeds or {})
        if memory is not None and layer is not None:
            on = np.full((1, len(ids), 1), tau, np.float32)
            if positions == "last":
                on[:, :-1] = 0
            elif positions != "all":
                raise ValueError(f"want positions 'all' or 'last', got {positions!r}")
            for at in np.atleast_1d(layer).tolist():
                at += self.info["layers"] if at < 0 else 0
                given[self._port("tau", site, at)] = on if site != "z" else on[..., None]
                vector = self.original.encode(memory, encoding=encoding, convention=convention, layer=at) if isinstance(memory, str) else memory
                given[self._port("memory", site, at)] = vector
        return self._run(ids, given)

    def _port(self, kind: str, site: str, layer: int) -> str:
        for p in self.ports:
            if p["io"] == "in" and p["kind"] == kind and p.get("site", _ATTN_OUT) == site and p["layer"] == layer:
                return str(p["name"])
        there = sorted({p["layer"] for p in self.ports if p["kind"] == kind and p.get("site", _ATTN_OUT) == site})
        raise ValueError(f"want a port for memories at {site} of layer {layer}, got layers {there}: rewrite with inject=\"{site}@{layer}\"")

    def _run(self, ids: list[int], given: dict[str, Any]) -> Cache:
        import numpy as np

        session, file = self.session(), self._without_cache()
        ports = {p["name"]: p for p in self.ports}
        if unknown := [name for name in given if ports.get(name, {}).get("io") != "in"]:
            raise ValueError(f"want input ports, got {', '.join(unknown)}")
        roles = {i["name"]: i.get("role") for i in file.info["inputs"]}
        # What the program says an input is for decides its value: one row, the whole text, no cache.
        row: dict[Any, Any] = {"tokens": ids, "mask": np.ones(len(ids)), "positions": np.arange(len(ids)), "unused": 0}
        feeds = {}
        for i in session.get_inputs():
            if i.name in ports:
                shape = [n if isinstance(n, int) else 1 for n in ports[i.name]["shape"]]
                value = np.asarray(given.get(i.name, ports[i.name]["kind"] == "keep"), np.float32)
                with contextlib.suppress(ValueError):
                    value = value.reshape(shape) if value.size == np.prod(shape) else value
                try:
                    value = np.broadcast_to(value, np.broadcast_shapes(value.shape, tuple(shape)))
                except ValueError:
                    raise ValueError(f"port {i.name}: want a value of shape {ports[i.name]['shape']}, got {list(value.shape)}") from None
            elif roles.get(i.name) in row:
                shape = [n if isinstance(n, int) else 1 if a < len(i.shape) - 1 else len(ids) for a, n in enumerate(i.shape)]
                value = np.broadcast_to(row[roles[i.name]], shape)
            else:
                raise ValueError(f"input {i.name} of {file.path}: its purpose is {roles.get(i.name)}, so no value can be fed")
            feeds[i.name] = np.ascontiguousarray(value, _TYPES[i.type])
        logits = next(o.name for o in session.get_outputs() if o.name not in ports)
        shown = [p["name"] for p in self.ports if p["io"] == "out"]
        values = session.run([logits, *shown], feeds)
        return Cache(values[0], dict(zip(shown, values[1:])), ids)


def _path(model: StrPath | Model) -> str:
    return os.fspath(model)


def _remove(path: str | None) -> None:
    """Removes a temporary copy and the data beside it, and its folder if that was made for it."""
    if path is None:
        return
    folder = os.path.dirname(path)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.startswith(os.path.basename(path)):
            os.remove(os.path.join(folder, name))
    if os.path.basename(folder).startswith("onnx-inject-") and folder.startswith(tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
