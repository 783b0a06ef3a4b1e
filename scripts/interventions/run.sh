#!/bin/sh
# Computes the references of interventions in PyTorch again, in double precision, and compares them with those in
# models/testdata/interventions.
#
#   scripts/interventions/run.sh             compare
#   scripts/interventions/run.sh --write     store them
#   scripts/interventions/run.sh NAME...     some of them, such as gpt2
#   scripts/interventions/run.sh entity [--write]   names in place of descriptions, in the built-in model
#
# FIXTURES_PYTHON  as in scripts/venv.sh; the packages are those of scripts/fixtures
set -eu
cd "$(dirname "$0")/../.."
python=$(scripts/venv.sh fixtures)
script=reference.py
if [ "${1-}" = entity ]; then
	script=entity.py
	shift
fi
exec "$python" "scripts/interventions/$script" "$@"
