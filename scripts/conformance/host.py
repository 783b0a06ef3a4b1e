"""Hosts, which run models. A host opens a file as a session with inputs, outputs and run(names, feeds)."""

import sys
from pathlib import Path


class OnnxRuntime:
    """ONNX Runtime's Python package, on the CPU."""

    flags = {}  # flags of rewrite, by file

    def open(self, path: Path):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        return Session(ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))


class Session:
    def __init__(self, session):
        self.inputs, self.outputs = session.get_inputs(), [o.name for o in session.get_outputs()]
        self.run = lambda names, feeds: dict(zip(names, session.run(names, feeds)))


def host_of(name: str):
    """Returns a host by its name. Other hosts need additional packages; see scripts/hosts."""
    if name == "onnxruntime":
        return OnnxRuntime()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "hosts"))
    from hosts import HOSTS

    if name not in HOSTS:
        raise SystemExit(f"host {name!r}: want one of onnxruntime, {', '.join(HOSTS)}")
    return HOSTS[name]
