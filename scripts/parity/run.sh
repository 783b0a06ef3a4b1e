#!/bin/sh
# Parity with TransformerLens: builds small GPT-2 models with random weights and the real vocabulary, and exports them. Compares
# memory vectors and log-probabilities of onnx-inject, TransformerLens (float32, weights folded) and the formulas in double
# precision. Also compares log-probabilities, ranks and likeliest tokens of the plans of eval. Exits with 1 when a pair differs by
# more than its limit.
#
#   scripts/parity/run.sh [--prompts N] [--taus 1,3,15] [--rebuild] [--references-only]
#   scripts/parity/run.sh --prompts 0 --taus 1:15        every cell of the paper's grid, 3 encodings
#   scripts/parity/run.sh families [--only FAMILY] [--rebuild]
#
# families compares memory vectors, and log-probabilities with and without them, on small random models of other families.
#
# PARITY_PYTHON  a Python with requirements.txt installed (default: created by scripts/venv.sh: 7.5 GB on Linux, nearly all of it torch)
# PARITY_DATA    prompts in the paper's CSV columns (default: prompts.csv)
# ONNX_INJECT    the binary (default: bin/onnx-inject, built first)
set -eu
cd "$(dirname "$0")/../.."
here=scripts/parity
work=.cache/parity
mkdir -p "$work"
python=$(scripts/venv.sh parity)

data=${PARITY_DATA:-$here/prompts.csv}

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

if [ "${1:-}" = families ]; then
	shift
	exec "$python" "$here/families.py" --binary "$binary" --work "$work" "$@"
fi
exec "$python" "$here/parity.py" --binary "$binary" --data "$data" --work "$work" "$@"
