"""Export the trained demo model with a common exporter, into the folder that the Go package embeds.

usage: export.py MODEL_FOLDER -o DEMO_FOLDER

The same as `optimum-cli export onnx -m MODEL_FOLDER --task text-generation`: one self-contained model.onnx without cache inputs.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from optimum.exporters.onnx import main_export

KEPT = ["config.json", "generation_config.json", "tokenizer_config.json", "vocab.json", "merges.txt", "model.onnx"]


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("model", type=Path)
    args.add_argument("-o", type=Path, required=True)
    a = args.parse_args()
    a.o.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        main_export(str(a.model), output=tmp, task="text-generation")
        for name in KEPT:
            shutil.copyfile(Path(tmp) / name, a.o / name)


if __name__ == "__main__":
    main()
