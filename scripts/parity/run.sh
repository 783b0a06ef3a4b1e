#!/bin/sh
# Parity with TransformerLens: builds small GPT-2s with random weights and the real vocabulary, exports them, and compares
# memory vectors and log-probabilities of onnx-inject, the real TransformerLens (float32, weights folded) and the formulas in double
# precision; and what the plans of eval say, log-probabilities, ranks and likeliest tokens. Exits 1 when any pair differs by more than
# its limit.
#
#   scripts/parity/run.sh [--prompts N] [--taus 1,3,15] [--rebuild] [--references-only]
#   scripts/parity/run.sh --prompts 0 --taus 1:15        every cell of the paper's grid, 3 encodings: half an hour
#
# PARITY_PYTHON  a Python that has requirements.txt installed; otherwise python.sh makes one
# PARITY_DATA    prompts in the paper's CSV columns (default: the paper's, if they lie beside this repository, else prompts.csv)
# ONNX_INJECT    the binary (default: bin/onnx-inject, built first)
set -eu
cd "$(dirname "$0")/../.."
here=scripts/parity
work=.cache/parity
mkdir -p "$work"
python=$("$here/python.sh")

data=${PARITY_DATA:-../shared/paper/handwritten_obscure_explicit_data.csv}
[ -n "${PARITY_DATA:-}" ] || [ -f "$data" ] || data=$here/prompts.csv

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

exec "$python" "$here/parity.py" --binary "$binary" --data "$data" --work "$work" "$@"
