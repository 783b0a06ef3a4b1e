#!/bin/sh
# Prints the path of a Python that has requirements.txt installed: $PARITY_PYTHON, or that of a virtual environment in
# .cache/parity, made on first use (7.5 GB on Linux, nearly all of it torch).
set -eu
cd "$(dirname "$0")/../.."
if [ -n "${PARITY_PYTHON:-}" ]; then
	echo "$PARITY_PYTHON"
	exit
fi
venv=.cache/parity/venv
if ! cmp -s scripts/parity/requirements.txt "$venv/installed.txt"; then
	python3 -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r scripts/parity/requirements.txt
	cp scripts/parity/requirements.txt "$venv/installed.txt"
fi
echo "$venv/bin/python"
