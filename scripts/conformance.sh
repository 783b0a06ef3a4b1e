#!/bin/sh
# Runs the conformance check: every file of the fixtures is patched by the binary, run in Python's ONNX Runtime and
# compared with what PyTorch gives. The judge and its fixtures are not part of this repository.
#
#   scripts/conformance.sh [--optional] [ARGUMENT OF check_patched.py …]
#
# CONFORMANCE_DIR  folder with tools/check_patched.py and fixtures/cases.json (default: ../shared beside this repository)
# ONNX_INJECT      the binary (default: bin/onnx-inject, built first)
# PYTHON           the interpreter, with onnxruntime and numpy (default: one of its own, made first)
# --optional       exit 0 with a message when the judge's files are absent; otherwise that is a failure
set -eu
cd "$(dirname "$0")/.."

optional=no
if [ "${1-}" = --optional ]; then
	optional=yes
	shift
fi

judge=${CONFORMANCE_DIR:-../shared}
for file in "$judge/tools/check_patched.py" "$judge/fixtures/cases.json"; do
	if [ ! -f "$file" ]; then
		echo "conformance: nothing was checked: \"$file\" is absent" >&2
		echo "conformance: hint: set CONFORMANCE_DIR to the folder that holds tools/check_patched.py and fixtures/" >&2
		[ "$optional" = yes ] && exit 0
		exit 1
	fi
done

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

python=${PYTHON:-}
if [ -z "$python" ]; then
	venv=.cache/conformance
	python=$venv/bin/python
	if ! "$python" -c 'import onnxruntime, numpy; assert onnxruntime.__version__ == "1.30.0"' 2>/dev/null; then
		python3 -m venv "$venv"
		"$python" -m pip install --quiet --disable-pip-version-check onnxruntime==1.30.0 numpy
	fi
fi

exec "$python" "$judge/tools/check_patched.py" "$binary" "$judge/fixtures" "$@"
