#!/bin/sh
# Computes the references of interventions in PyTorch again, in double precision, and compares them with those in
# models/testdata/interventions.
#
#   scripts/interventions/run.sh             compare
#   scripts/interventions/run.sh --write     store them
#   scripts/interventions/run.sh NAME...     some of them, such as gpt2
#
# FIXTURES_PYTHON  as in scripts/venv.sh; the packages are those of scripts/fixtures
set -eu
cd "$(dirname "$0")/../.."
python=$(scripts/venv.sh fixtures)
exec "$python" scripts/interventions/reference.py "$@"
