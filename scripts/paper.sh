#!/bin/sh
# Downloads the files that the authors of "Memory Injections" (arXiv 2309.05605) published: prompts, word lists and
# results, about 0.8 GB. They are under the MIT licence. This repository contains only the few files for its tests, reduced
# by scripts/paper_cut.py.
#
#   scripts/paper.sh DIR
#
# Afterwards DIR/data contains the prompts and word lists, and DIR/experiments the results. Give DIR/experiments to
# "report --published", or to the tests in ONNX_INJECT_PAPER.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: scripts/paper.sh DIR" >&2
	exit 2
fi
if [ -e "$1" ]; then
	echo "paper: \"$1\" exists already" >&2
	exit 1
fi
repository=${PAPER_REPOSITORY:-https://github.com/msakarvadia/memory_injections}
commit=${PAPER_COMMIT:-ce79ef6c98a58d5b67ca1b017758622327b484bd}

git init -q "$1"
git -C "$1" fetch -q --depth 1 "$repository" "$commit"
git -C "$1" -c advice.detachedHead=false checkout -q FETCH_HEAD
echo "paper: \"$1\" contains $repository at $commit"
