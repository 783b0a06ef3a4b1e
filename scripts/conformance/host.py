"""Hosts, which run models. A host opens a file as a session with inputs, outputs and run(names, feeds)."""

import sys
from pathlib import Path


class OnnxRuntime:
    """ONNX Runtime's Python package, on one device."""

    flags = {}  # flags of rewrite, by file

    def __init__(self, provider, options):
        self.provider, self.options = provider, options

    def open(self, path: Path):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(str(path), options, providers=[(self.provider, self.options)])
        if self.provider not in session.get_providers():  # the package falls back to the CPU without an error
            raise RuntimeError(f"want {self.provider}, got {', '.join(session.get_providers())}")
        return Session(session)


RUNTIMES = {
    "onnxruntime": OnnxRuntime("CPUExecutionProvider", {}),
    "cuda": OnnxRuntime("CUDAExecutionProvider", {"use_tf32": "0"}),  # TF32 rounds factors to 10 bits
}


class Session:
    def __init__(self, session):
        self.inputs, self.outputs = session.get_inputs(), [o.name for o in session.get_outputs()]
        self.run = lambda names, feeds: dict(zip(names, session.run(names, feeds)))


def host_of(name: str):
    """Returns a host by its name. Other hosts need additional packages; see scripts/hosts."""
    if name in RUNTIMES:
        return RUNTIMES[name]
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "hosts"))
    from hosts import HOSTS

    if name not in HOSTS:
        raise SystemExit(f"host {name!r}: want one of {', '.join([*RUNTIMES, *HOSTS])}")
    return HOSTS[name]
