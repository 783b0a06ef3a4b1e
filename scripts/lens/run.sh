#!/bin/sh
# Heads through the unembedding, against TransformerLens: the model of scripts/parity (a small GPT-2 with random weights and the
# real vocabulary, exported), three pairs of prompts, every norm, with and without the beginning-of-text token. Exits 1 when a
# logit, a log-probability or a rank is off.
#
#   scripts/lens/run.sh [--rebuild]
#
# PARITY_PYTHON and ONNX_INJECT are those of scripts/parity/run.sh, which also makes the environment when there is none.
set -eu
cd "$(dirname "$0")/../.."
work=.cache/parity
mkdir -p "$work"

python=${PARITY_PYTHON:-}
if [ -z "$python" ]; then
	python=$work/venv/bin/python
	[ -x "$python" ] || { echo "no Python in $work/venv: run scripts/parity/run.sh first, or set PARITY_PYTHON" >&2; exit 1; }
fi
binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi
exec "$python" scripts/lens/check.py --binary "$binary" --work "$work" "$@"
