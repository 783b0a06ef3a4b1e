#!/usr/bin/env bash
# Tests the logic of check.sh on the CPU: with the parts of a real wheel it passes; with a part missing, parts in the wrong order, one
# changed byte, or cells that differ, it fails and says why.
#
#   scripts/cuda/try.sh
#
# ONNX_INJECT  the program (default: bin/onnx-inject)
# CUDA_PYTHON  a Python with requirements.txt installed (default: created by scripts/venv.sh)
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=$(scripts/venv.sh cuda)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHON RESULTS=$work/results

version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' runtime/ort/lib/manifest.json)
"$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$work" "onnxruntime==$version"
split -b 9M "$work"/onnxruntime-*.whl "$work/part-"
parts=("$work"/part-*)
[ ${#parts[@]} -ge 3 ] || { echo "$0: want at least 3 parts, got ${#parts[@]}" >&2; exit 1; }

scripts/cuda/check.sh --provider cpu "${@:---quick}" "${parts[@]}"
for step in library doctor demo verify cells speed conformance; do
	[ -s "$RESULTS/$step.txt" ] || { echo "$0: step $step left no output" >&2; exit 1; }
done

# refuse WHAT TEXT COMMAND… expects the command to fail with the text.
refuse() {
	local what=$1 text=$2 out
	shift 2
	if out=$("$@" 2>&1); then
		echo "$0: $what: passes" >&2
		exit 1
	fi
	grep -q -- "$text" <<<"$out" || { printf '%s: %s: want "%s", got:\n%s\n' "$0" "$what" "$text" "$out" >&2; exit 1; }
	echo "refused: $what"
}
check=(scripts/cuda/check.sh --provider cpu --quick)
printf '\nWhat must fail:\n'
refuse "no part" usage "${check[@]}"
refuse "a missing part" "not a wheel" "${check[@]}" "${parts[@]:0:${#parts[@]}-1}"
refuse "parts in the wrong order" "library: FAILED" "${check[@]}" "${parts[1]}" "${parts[0]}" "${parts[@]:2}"
refuse "the wheel of the CPU for a GPU" "want sha256\|has no" scripts/cuda/check.sh --quick "${parts[@]}"
"$PYTHON" - "$work"/onnxruntime-*.whl "$work/changed.whl" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as old, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
    for i in old.infolist():
        b = bytearray(old.read(i))
        if "libonnxruntime.so" in i.filename:
            b[len(b) // 2] ^= 1
        new.writestr(i, bytes(b))
PY
refuse "one changed byte in the library" "want sha256" "${check[@]}" "$work/changed.whl"

mkdir "$work"/{a,b,c}
header=prompt,layer,tau,source,memory,encoding,logp_answer,rank
printf '%s\n0,0,1,curated,x,unembed,-1.5,0\n' "$header" >"$work/a/cells.csv"
printf '%s\n0,0,1,curated,x,unembed,-1.4,0\n' "$header" >"$work/b/cells.csv"
printf '%s\n0,1,1,curated,x,unembed,-1.5,0\n' "$header" >"$work/c/cells.csv"
"$PYTHON" scripts/cuda/cells.py "$work/a" "$work/a" 1e-4 >/dev/null
refuse "cells that differ" "1 cells differ" "$PYTHON" scripts/cuda/cells.py "$work/a" "$work/b" 1e-4
refuse "other cells" "different cells" "$PYTHON" scripts/cuda/cells.py "$work/a" "$work/c" 1e-4
