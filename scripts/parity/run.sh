#!/bin/sh
# Parity with TransformerLens: builds a small GPT-2 with random weights and the real vocabulary, exports it, and compares
# memory vectors and log-probabilities of onnx-inject, the real TransformerLens (float32, weights folded) and the formulas in double
# precision. Exits 1 when any pair differs by more than 1e-5.
#
#   scripts/parity/run.sh [--prompts N] [--taus 1,3,15] [--eval] [--rebuild] [--references-only]
#
# PARITY_PYTHON  a Python that has requirements.txt installed; otherwise a virtual environment is made in .cache/parity
#                (7.5 GB on Linux, nearly all of it torch)
# PARITY_DATA    prompts in the paper's CSV columns (default: the paper's, if they lie beside this repository, else prompts.csv)
# ONNX_INJECT    the binary (default: bin/onnx-inject, built first)
set -eu
cd "$(dirname "$0")/../.."
here=scripts/parity
work=.cache/parity
mkdir -p "$work"

python=${PARITY_PYTHON:-}
if [ -z "$python" ]; then
	python=$work/venv/bin/python
	if ! cmp -s "$here/requirements.txt" "$work/venv/installed.txt"; then
		python3 -m venv "$work/venv"
		"$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
		cp "$here/requirements.txt" "$work/venv/installed.txt"
	fi
fi

data=${PARITY_DATA:-../shared/paper/handwritten_obscure_explicit_data.csv}
[ -n "${PARITY_DATA:-}" ] || [ -f "$data" ] || data=$here/prompts.csv

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

exec "$python" "$here/parity.py" --binary "$binary" --data "$data" --work "$work" "$@"
