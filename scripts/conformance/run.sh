#!/bin/sh
# Checks the fixtures of models/testdata and models/testdata/families: each file is patched, run in Python's ONNX Runtime and compared
# with PyTorch's results. The built-in model with memories at phrases is compared with onnx-inject run. Exits with 1 when a file fails.
#
#   scripts/conformance/run.sh [FLAG OF check.py …]
#
# FIXTURES            the folders to check
# ONNX_INJECT         the binary (default: bin/onnx-inject, built first)
# CONFORMANCE_PYTHON  a Python with requirements.txt installed (default: created by scripts/venv.sh)
set -eu
cd "$(dirname "$0")/../.."
python=$(scripts/venv.sh conformance)
binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi
"$python" -m unittest discover --quiet --start-directory scripts/conformance --pattern '*_test.py'
"$python" scripts/hosts/phrase.py "$binary"
# shellcheck disable=SC2086 # FIXTURES is a list
exec "$python" scripts/conformance/check.py "$binary" ${FIXTURES:-models/testdata models/testdata/families} "$@"
