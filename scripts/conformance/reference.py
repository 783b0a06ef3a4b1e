"""References: PyTorch's results for a set of weights, and the cases that compare files with them.

models/testdata/README.md describes both formats.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


def read_array(stored):
    return np.array(stored["data"], dtype=np.float64).reshape(stored["shape"])


@dataclass(frozen=True)
class Kind:
    """A kind of output port."""

    name: str  # as in --expose
    port: str  # the port's name, with %d for the layer
    queries: int = 1  # the axis of positions
    keys: int | None = None  # the axis of attended positions


KINDS = [
    Kind("z", "blocks.%d.attn.hook_z"),
    Kind("result", "blocks.%d.attn.hook_result"),
    Kind("pattern", "blocks.%d.attn.hook_pattern", queries=2, keys=3),
    Kind("out", "blocks.%d.attn.hook_out"),
    Kind("attn_out", "blocks.%d.hook_attn_out"),
    Kind("resid_pre", "blocks.%d.hook_resid_pre"),
    Kind("resid_mid", "blocks.%d.hook_resid_mid"),
    Kind("mlp_out", "blocks.%d.hook_mlp_out"),
    Kind("resid_post", "blocks.%d.hook_resid_post"),
]

# Kinds that a file may lack although the reference has them. The stream's sums follow from other values, and not every file has a
# tensor for them. hook_out is defined in a few families only.
OPTIONAL = {"out", "resid_mid", "resid_post"}

# Where a memory is added: the prefix of the port names of each site.
SITES = {
    "attn_out": "blocks.%d.attn",
    "mlp_out": "blocks.%d.hook_mlp_out",
}


@dataclass(frozen=True)
class Injection:
    """An intervention and its logits."""

    site: str
    layers: list
    tau: float
    vector: np.ndarray  # [d_model]
    last: bool  # at the last position only
    logits: np.ndarray

    def __str__(self):
        where = ",".join(map(str, self.layers))
        return f"{self.site}@{where} tau {self.tau:g}{' at the last position' if self.last else ''}"

    def ports(self, positions):
        """Returns the values of this injection's ports: tau is a schedule over positions."""
        tau = np.full((1, positions, 1), self.tau) if not self.last else np.zeros((1, positions, 1))
        tau[:, -1] = self.tau
        values = {}
        for layer in self.layers:
            prefix = SITES[self.site] % layer
            values[prefix + ".memory"] = self.vector.reshape(1, 1, -1)
            values[prefix + ".tau"] = tau
        return values


class Reference:
    """A reference, limited to its first positions when a case compares only these."""

    def __init__(self, path: Path, first: bool):
        stored = json.loads(path.read_text())
        self.layers, self.d_model = stored["layers"], stored["d_model"]
        self.ids = np.array(stored["input_ids"])
        if first:
            self.ids = self.ids[:, :1]
        self.positions = self.ids.shape[1]
        self.logits = read_array(stored["logits"])[:, : self.positions]
        self.activations = {name: read_array(a) for name, a in stored["activations"].items()}
        self.memories = {name: read_array(a) for name, a in stored["memory"].items()}
        self.injections = [self._injection(i) for i in stored["injected"] if not (first and i.get("positions") == "last")]
        self.sites = sorted({i.site for i in self.injections})

    def _injection(self, stored):
        site, positions = stored.get("site", "attn_out"), stored.get("positions", "all")
        if site not in SITES or positions not in ("all", "last"):
            raise ValueError(f"injection at site {site!r}, positions {positions!r}: want one of {', '.join(SITES)}, and all or last")
        return Injection(site, stored["layers"], stored["tau"], self.memories[stored["memory"]], positions == "last",
                         read_array(stored["logits"])[:, : self.positions])

    def neutral(self):
        """Returns values of all memory and tau ports that have no effect."""
        values = {}
        for site in self.sites:
            for layer in range(self.layers):
                prefix = SITES[site] % layer
                values[prefix + ".memory"] = np.zeros((1, 1, self.d_model))
                values[prefix + ".tau"] = np.zeros((1, 1, 1))
        return values

    def expected(self, kind: Kind, layer: int):
        """Returns the expected value of a port, or None when the reference has none."""
        value = self._value(kind, layer)
        if value is None:
            return None
        value = value.take(range(self.positions), kind.queries)
        return value if kind.keys is None else value.take(range(self.positions), kind.keys)

    def _value(self, kind, layer):
        get = lambda form: self.activations.get(form % layer)
        if (value := get(kind.port)) is not None:
            return value
        parts = {"resid_mid": ["resid_pre", "attn_out"], "resid_post": ["resid_pre", "attn_out", "mlp_out"]}.get(kind.name)
        if parts is None:
            return None
        values = [get(f"blocks.%d.hook_{part}") for part in parts]
        return None if any(v is None for v in values) else sum(values)

    def has(self, kind: Kind):
        return self.expected(kind, 0) is not None


@dataclass(frozen=True)
class Case:
    """An entry of cases.json."""

    folder: Path
    file: str
    ref: str
    atol: float
    skip: list
    first: bool
    whole: bool  # whether the model needs the other files of its folder

    @property
    def path(self):
        return self.folder / self.file

    def reference(self):
        return Reference(self.folder / self.ref, self.first)


KEYS = {"file", "ref", "atol", "skip", "first", "folder"}


def read_cases(folder: Path):
    cases = []
    for entry in json.loads((folder / "cases.json").read_text()):
        if unknown := set(entry) - KEYS:
            raise ValueError(f"{folder}/cases.json: {entry.get('file')}: unknown keys {', '.join(sorted(unknown))}; want {', '.join(sorted(KEYS))}")
        cases.append(Case(folder, entry["file"], entry["ref"], entry["atol"], entry.get("skip", []), entry.get("first", False), entry.get("folder", False)))
    return cases
