"""The command onnx-inject: replaces this process with the program, which loads the library of the installed onnxruntime."""

from __future__ import annotations

import os
import sys

from ._program import OnnxInjectError, environment, program


def main() -> None:
    """Runs the program with the arguments of this process."""
    try:
        path, env = program(), environment()
    except OnnxInjectError as e:
        sys.exit(f"onnx-inject: {e}")
    called = sys.argv[0]
    if os.path.basename(called) == "__main__.py":
        env["ONNX_INJECT_COMMAND"] = f"{os.path.basename(sys.executable)} -m onnx_inject"
    if sys.platform != "win32":
        os.execve(path, [called, *sys.argv[1:]], env)
    import signal
    import subprocess

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program gets it too, and decides
    sys.exit(subprocess.call([called, *sys.argv[1:]], executable=path, env=env))


if __name__ == "__main__":
    main()
