#!/bin/sh
# Captured values in Python: reads a capture of the demo model with safetensors and pandas, and compares every value with that of
# the patched file in Python's ONNX Runtime. Exits with 1 when something differs.
#
#   scripts/capture/run.sh
#
# CAPTURE_PYTHON  a Python with requirements.txt installed (default: created by scripts/venv.sh)
# ONNX_INJECT     the binary (default: bin/onnx-inject, built first)
set -eu
cd "$(dirname "$0")/../.."
work=.cache/capture
mkdir -p "$work"
python=$(scripts/venv.sh capture)

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi
exec "$python" scripts/capture/check.py --binary "$binary" --work "$work"
