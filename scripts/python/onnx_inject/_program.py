"""The program onnx-inject: where it is, the library that it loads, and how it is called."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

_log = logging.getLogger("onnx_inject")

# A library that the user names in one of these variables goes before that of the onnxruntime package.
_LIBRARY = "ONNX_INJECT_PACKAGE_ORT"


class OnnxInjectError(Exception):
    """The program refused its input or failed.

    Attributes:
        message: what is wrong, one line.
        hint: what to do about it, or "".
        exit_code: 1 internal error, 2 usage, 3 input refused, 4 a check failed, 5 cannot write, 6 locked by another run, 7 out of
            memory, 8 done with numbers that are not finite, 130 or 143 interrupted; negative if a signal ended the program.
        result: the JSON document that was printed all the same, as for the exit codes 4 and 8, or None.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = 1, result: Any = None) -> None:
        super().__init__(message, hint, exit_code, result)
        self.message, self.hint, self.exit_code, self.result = message, hint, exit_code, result

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def program() -> str:
    """Returns the path of the program: $ONNX_INJECT, or the one in this package."""
    if stated := os.environ.get("ONNX_INJECT"):
        return stated
    name = "onnx-inject.exe" if sys.platform == "win32" else "onnx-inject"
    path = Path(__file__).parent / "bin" / name
    if not path.is_file():
        raise OnnxInjectError(f"want the program in {path}, got no file", "install a wheel, or set ONNX_INJECT to the path of the program", 3)
    return str(path)


def library() -> str | None:
    """Returns the path of the library in the installed onnxruntime, or None if that package contains none."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or not spec.submodule_search_locations:
        return None
    pattern = {"win32": "onnxruntime.dll", "darwin": "libonnxruntime*.dylib"}.get(sys.platform, "libonnxruntime.so*")
    for folder in spec.submodule_search_locations:
        for found in sorted(Path(folder, "capi").glob(pattern)):
            return str(found)
    return None


def environment() -> dict[str, str]:
    """Returns the variables of a call: the user's, and the library of the installed onnxruntime."""
    env = dict(os.environ)
    if found := library():
        env[_LIBRARY] = found
    return env


def call(command: str, *args: str | os.PathLike[str], stdin: str | None = None, **flags: Any) -> Any:
    """Runs a command of the program with --json and returns the document.

    Args:
        command: a command, such as "lens".
        args: its arguments, such as a model.
        stdin: what the command reads from standard input.
        flags: its flags: ``top=5`` is --top=5, ``last_logits=True`` is --last-logits. A list repeats the flag; None leaves it out.

    Raises:
        OnnxInjectError: the program ended with an exit code other than 0.
    """
    return json.loads(output(command, *args, stdin=stdin, json=True, **flags))


def output(command: str, *args: str | os.PathLike[str], stdin: str | None = None, **flags: Any) -> str:
    """Runs a command of the program and returns what it prints."""
    line = [program(), *command.split(), *(os.fspath(a) for a in args), *_flags(flags)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment()) as p:
        assert p.stdin and p.stdout and p.stderr
        said: list[str] = []
        threads = [threading.Thread(target=_listen, args=(p.stderr, said)), threading.Thread(target=_feed, args=(p.stdin, stdin or ""))]
        for t in threads:
            t.start()
        try:
            out = p.stdout.read()
            p.wait()
        except KeyboardInterrupt:  # a notebook interrupts only itself; what the program has finished stays on disk
            p.send_signal(signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
            raise
        finally:
            for t in threads:
                t.join()
    if p.returncode != 0:
        raise _error(p.returncode, said, out)
    for text in said:
        _note(text)
    return out


def _listen(stream: IO[str], said: list[str]) -> None:
    """Logs what the program says, except the last two lines: they may be an error and its hint."""
    for text in stream:
        said.append(text.rstrip("\n").removeprefix("onnx-inject: "))
        if len(said) > 2:
            _note(said.pop(0))


def _note(text: str) -> None:
    progress = re.match(r"\w+ \d+ of \d+", text)
    _log.log(logging.INFO if progress else logging.WARNING, "%s", text)


def _feed(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
        stream.close()
    except BrokenPipeError:  # the program did not read it, and says why
        pass


def _flags(flags: dict[str, Any]) -> list[str]:
    line = []
    for name, value in flags.items():
        if hasattr(value, "tolist"):  # of numpy
            value = value.tolist()
        for v in value if isinstance(value, (list, tuple, range)) else [value]:
            if v is None:
                continue
            text = {True: "true", False: "false"}[v] if isinstance(v, bool) else os.fspath(v) if isinstance(v, os.PathLike) else str(v)
            line.append(f"--{name.rstrip('_').replace('_', '-')}={text}")
    return line


def _error(code: int, said: list[str], out: str) -> OnnxInjectError:
    hint = ""
    if said and said[-1].startswith("hint: "):
        hint = said.pop().removeprefix("hint: ")
    message = said.pop() if said else f"the program ended with code {code} and said nothing"
    for text in said:
        _note(text)
    try:
        result = json.loads(out)
    except ValueError:
        result = None
    return OnnxInjectError(message, hint, code, result)
