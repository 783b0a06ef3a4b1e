#!/bin/sh
# Prints the path of a Python with the packages of scripts/NAME/requirements.txt. Creates a virtual environment in
# .cache/NAME/venv on first use, and recreates it when the file changes.
#
#   python=$(scripts/venv.sh NAME)
#
# <NAME>_PYTHON  a Python to use instead, with those packages installed; PARITY_PYTHON for parity
set -eu
cd "$(dirname "$0")/.."
name=$1

variable=$(printf %s_PYTHON "$name" | tr '[:lower:]' '[:upper:]')
eval "override=\${$variable:-}"
if [ -n "$override" ]; then
	echo "$override"
	exit
fi

wanted=scripts/$name/requirements.txt
venv=.cache/$name/venv
if ! cmp -s "$wanted" "$venv/installed.txt"; then
	echo "$name: installing $wanted in $venv" >&2
	python3 -m venv --clear "$venv"
	# The pip that comes with older Pythons searches for versions that fit together for ten minutes and longer.
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip >&2
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted" >&2
	cp "$wanted" "$venv/installed.txt" # last, so that an interrupted installation restarts
fi
echo "$PWD/$venv/bin/python"
