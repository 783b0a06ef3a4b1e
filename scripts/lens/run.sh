#!/bin/sh
# Compares heads through the unembedding with TransformerLens: the model of scripts/parity (a small GPT-2 with random weights and
# the real vocabulary, exported), three pairs of prompts, every norm, with and without the beginning-of-text token. Exits with 1
# when a logit, a log-probability or a rank differs.
#
#   scripts/lens/run.sh [--rebuild]
#
# PARITY_PYTHON and ONNX_INJECT are as in scripts/parity/run.sh.
set -eu
cd "$(dirname "$0")/../.."
work=.cache/parity
mkdir -p "$work"

python=$(scripts/venv.sh parity)
binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi
exec "$python" scripts/lens/check.py --binary "$binary" --work "$work" "$@"
