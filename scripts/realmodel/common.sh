# What run.sh and gemma.sh share. $here is the folder of the scripts.

data=runtime/study/published/testdata/paper/handwritten_obscure_explicit_data.csv # the paper's prompts
prompts=${PROMPTS:-0}
threads=${THREADS:-0}
python=$(scripts/venv.sh realmodel)
binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

say() { echo "realmodel: $*" >&2; }

# once NAME COMMAND… runs the command with the path of a part, which gets its name when the command is done.
once() {
	name=$1
	shift
	if [ -e "$name" ]; then
		say "$name is there"
		return
	fi
	say "making $name"
	rm -rf "$name.part"
	"$@" "$name.part"
	mv "$name.part" "$name"
}

# packages LIST FOLDER installs the packages of a list with checksums, without what they depend on.
packages() { "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/$1" --target "$2"; }

# optimum CHECKPOINT OUT exports a checkpoint in float32. OUT has the tokenizer's files as the checkpoint has them, not as the exporter
# rewrites them.
optimum() {
	"$python" -m optimum.exporters.onnx --model "$1" --task text-generation-with-past "$2"
	cp "$1/tokenizer.json" "$1/tokenizer_config.json" "$2"
}

# evaluate MODEL … evaluates the prompts.
evaluate() { "$binary" eval "$@" --data "$data" --limit "$prompts" --threads "$threads"; }
