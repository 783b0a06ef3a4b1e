"""onnx-inject, called through its command line."""

import json
import subprocess
from pathlib import Path


class Refused(Exception):
    """onnx-inject did not accept the file."""


class OnnxInject:
    def __init__(self, binary: Path):
        self.binary = str(binary.resolve())

    def kinds(self, model: Path):
        """Returns the names of the kinds that the file supports at every layer."""
        found = json.loads(self._call("inspect", model, "--json"))
        return {site["kind"] for site in found["sites"] if len(site["layers"]) == found["layers"]}

    def patch(self, model: Path, out: Path, kinds, sites, flags):
        """Writes a copy with ports of these kinds, and memory and tau at these sites, at every layer."""
        ports = ["--expose", ",".join(kinds)]
        if sites:
            ports += ["--inject", "all" if sites == ["attn_out"] else ",".join(sites)]
        self._call("rewrite", model, "-o", out, *ports, *flags)

    def _call(self, command, model: Path, *args):
        done = subprocess.run([self.binary, command, model, *args], capture_output=True, text=True)
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line and not line.startswith("onnx-inject: hint")]
            text = (lines or ["no message"])[0].removeprefix("onnx-inject: ").replace(str(model), model.name)
            raise Refused(f"exit {done.returncode}: {text}")
        return done.stdout
