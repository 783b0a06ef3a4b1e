#!/bin/bash
# Runs the conformance check in hosts that are not ONNX Runtime's own library: every patched fixture is compared with what
# PyTorch gives. A file that the host cannot run unpatched is shown, and not counted. Exits 1 when any other file fails.
#
#   scripts/hosts/run.sh [HOST …]        of reference, openvino, tract, web; all of them by default
#
# CONFORMANCE_DIR, ONNX_INJECT  as for scripts/conformance.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
work=.cache/hosts
mkdir -p "$work"

export PYTHON=$work/venv/bin/python
if ! cmp --silent scripts/hosts/requirements.txt "$work/requirements.txt"; then
	python3 -m venv --clear "$work/venv"
	"$PYTHON" -m pip install --quiet --disable-pip-version-check -r scripts/hosts/requirements.txt
	cp scripts/hosts/requirements.txt "$work/requirements.txt"
fi
[ $# -gt 0 ] || set -- reference openvino tract web
web=onnxruntime-web@1.30.0
if [[ " $* " == *" web "* && "$(cat "$work/web" 2>/dev/null || true)" != "$web" ]]; then
	npm install --silent --no-save --no-package-lock --prefix "$work" "$web"
	echo "$web" > "$work/web"
fi
export PACKAGES=$work PYTHONPATH=scripts/hosts

# What is not counted: files that the host does not run unpatched, and one case that is known. WebAssembly finds weights
# outside the model file only where they are initializers, or constants of the main graph; a merged model has constants in
# the branches of its If, and wants --weights embed.
excused=(-e 'Unsupported: ' -e '^web FAIL optimum-1-merged.onnx .* external data path could not be')

status=0
for host; do
	lines=$(HOST=$host scripts/conformance.sh | sed -E "s/^/$host /; s/^(.{180}).+/\1…/" || true)
	echo "$lines"
	if ! grep -q ' files pass' <<< "$lines" || grep ' FAIL ' <<< "$lines" | grep -qv "${excused[@]}"; then
		echo "$host: a file fails that the host runs unpatched" >&2
		status=1
	fi
done
exit $status
