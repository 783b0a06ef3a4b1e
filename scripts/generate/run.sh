#!/bin/sh
# Recomputes what transformers generates, renders and samples, and compares it with what is stored. With --write it is stored.
#
#   scripts/generate/run.sh [--write]
set -eu
cd "$(dirname "$0")/../.."
python=$(scripts/venv.sh generate)
for script in chat sampling reference; do
	"$python" "scripts/generate/$script.py" "$@"
done
