#!/bin/bash
# Checks the fixtures in hosts other than ONNX Runtime's own library: each file is patched, run and compared with PyTorch's results.
# A file that the host cannot run unpatched is shown but not counted. The built-in model with memories at phrases is checked, too.
# "readme" runs the programs of README.md and its pages (readme.py). Exits with 1 when another file or a program fails. "web" needs node,
# "java" Java 17 and Maven, and "readme" all of these, cargo and chromium.
#
#   scripts/hosts/run.sh [HOST …]        one of reference, openvino, tract, web, java, readme; default: all
#
# FIXTURES, ONNX_INJECT  as for scripts/conformance/run.sh; FIXTURES is models/testdata by default
# HOSTS_PYTHON           a Python with requirements.txt installed (default: created by scripts/venv.sh)
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(scripts/venv.sh hosts)
[ $# -gt 0 ] || set -- reference openvino tract web java readme

export PACKAGES=.cache/hosts # installed by npm
web=onnxruntime-web@1.30.0
if [[ " $* " == *" web "* && "$(cat "$PACKAGES/web" 2>/dev/null || true)" != "$web" ]]; then
	mkdir -p "$PACKAGES"
	npm install --silent --no-save --no-package-lock --prefix "$PACKAGES" "$web"
	echo "$web" > "$PACKAGES/web"
fi

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

status=0
for host; do
	if [ "$host" = readme ]; then
		"$python" scripts/hosts/readme.py "$binary" || status=1
		continue
	fi
	# shellcheck disable=SC2086 # FIXTURES is a list
	"$python" scripts/conformance/check.py --host "$host" "$binary" ${FIXTURES:-models/testdata} || status=1
	"$python" scripts/hosts/phrase.py --host "$host" "$binary" || status=1
done
exit $status
