"""Compares one file with its reference on one host."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from feeds import feeds
from reference import KINDS, OPTIONAL, Case
from subject import OnnxInject, Refused

OK, FAIL, UNSUPPORTED = "ok", "FAIL", "unsupported"


@dataclass
class Result:
    """The number of comparisons, the largest differences, and the failures."""

    file: str
    atol: float
    outcome: str = OK
    ports: int = 0  # outputs compared
    injections: int = 0
    worst: dict = field(default_factory=dict)  # the largest difference of: original, activations, logits, injected
    failures: list = field(default_factory=list)

    def fail(self, message):
        self.outcome = FAIL
        self.failures.append(message)

    def compare(self, part, name, got, want):
        """Compares an array with the reference, and records the difference under part."""
        if got.shape != want.shape:
            self.fail(f"{name} has shape {list(got.shape)}: expected {list(want.shape)}")
            return
        difference = float(np.abs(got.astype(np.float64) - want).max())
        self.worst[part] = float(np.maximum(self.worst.get(part, 0), difference))  # a NaN stays
        if not difference <= self.atol:
            self.fail(f"{name} differs by {difference:.3g}: allowed {self.atol:g}")


def check(case: Case, subject: OnnxInject, host, scratch: Path) -> Result:
    """Runs the unpatched file, patches it, and compares both with the reference.

    A file that the host cannot run unpatched does not test the patch; its outcome is unsupported.
    """
    result = Result(case.file, case.atol)
    reference = case.reference()
    path = copy(case, scratch)
    try:
        run(result, "original", "logits of the unpatched file", host.open(path), ["logits"], reference, {})
    except Exception as error:
        result.failures.append(f"the host does not run the unpatched file: {brief(error)}")
    if result.failures:
        result.outcome = UNSUPPORTED
        return result
    try:
        patched(result, case, reference, subject, host, path)
    except Refused as refused:
        result.fail(f"refused: {refused}")
    except Exception as error:  # any exception of a host is a failure of this file; the other files must still be checked
        result.fail(f"the host does not run the patched file: {brief(error)}")
    return result


def patched(result, case, reference, subject, host, path):
    kinds = wanted(result, case, reference, subject.kinds(path))
    out = path.with_name("patched.onnx")
    subject.patch(path, out, [k.name for k in kinds], reference.sites, host.flags.get(case.file, []))
    session = host.open(out)

    neutral = reference.neutral()
    expected = {k.port % layer: reference.expected(k, layer) for k in kinds for layer in range(reference.layers)}
    missing = [f"input {name}" for name in neutral if name not in {i.name for i in session.inputs}]
    missing += [f"output {name}" for name in ["logits", *expected] if name not in session.outputs]
    if missing:
        result.fail(f"the patched file has no {missing[0]}" + (f", and {len(missing) - 1} more are absent" if missing[1:] else ""))
        return

    got = run(result, "logits", "logits with tau 0", session, ["logits", *expected], reference, neutral)
    for name, want in expected.items():
        if got[name].dtype != np.float32:
            result.fail(f"{name} has type {got[name].dtype}: expected float32")
        result.compare("activations", name, got[name], want)
        result.ports += 1
    for injection in reference.injections:
        ports = neutral | injection.ports(reference.positions)
        run(result, "injected", f"logits of {injection}", session, ["logits"], reference, ports, injection.logits)
        result.injections += 1


def wanted(result, case, reference, offered):
    """Returns the kinds to compare: those of the reference that the file supports. A kind may be absent only where this is allowed."""
    kinds = [k for k in KINDS if k.name not in case.skip and reference.has(k)]
    for k in kinds:
        if k.name not in offered and k.name not in OPTIONAL:
            result.fail(f"{k.port % 0} is not offered: inspect lists {', '.join(sorted(offered))}")
    return [k for k in kinds if k.name in offered]


def run(result, part, what, session, names, reference, ports, logits=None):
    got = session.run(names, feeds(session.inputs, reference.ids, ports))
    result.compare(part, what, got["logits"], reference.logits if logits is None else logits)
    return got


def copy(case: Case, scratch: Path) -> Path:
    """Copies the model to a separate folder, because a patched file reads the original's weights in its folder."""
    folder = scratch / case.file.replace("/", "-")
    if case.whole:
        shutil.copytree(case.path.parent, folder)
    else:
        folder.mkdir()
        shutil.copy(case.path, folder)
    return folder / case.path.name


def brief(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{'…' if len(text) > 200 else ''}"
