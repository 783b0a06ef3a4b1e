#!/bin/sh
# Control vectors against repeng and llama.cpp's Python package gguf: makes vectors from the same pairs of texts with onnx-inject and
# with repeng, on the demo model, compares them layer by layer, and reads the files of each with the other. Exits with 1 when a
# direction differs.
#
#   scripts/controlvector/run.sh           the check
#   scripts/controlvector/run.sh --write   also writes repeng's files for the tests of runtime/study/contrast
#
# CONTROLVECTOR_PYTHON  a Python with requirements.txt installed (default: created by scripts/venv.sh: 7.5 GB on Linux, nearly all of it torch)
# ONNX_INJECT           the binary (default: bin/onnx-inject, built first)
set -eu
cd "$(dirname "$0")/../.."
work=.cache/controlvector
mkdir -p "$work"
python=$(scripts/venv.sh controlvector)

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi
exec "$python" scripts/controlvector/check.py --binary "$binary" --work "$work" "$@"
