#!/usr/bin/env bash
# Checks the program on a GPU in less than eight minutes, on a machine without a network: the library, all fixtures against PyTorch's
# results, verify, the cells of an evaluation against those of the CPU, and the speed of a sweep. Every step has a time limit, and a step
# that fails does not stop the others, so that one run shows everything.
#
#   scripts/cuda/check.sh [FLAGS] PART…
#
# The parts, joined in their order, are the wheel that "onnx-inject ort install --cuda" would download: onnxruntime-gpu of the pinned
# version, for the Python of this machine. A wheel that is too large to be carried at once is cut where there is a network:
#
#   pip download --no-deps onnxruntime-gpu==VERSION && split -b 50M onnxruntime_gpu-*.whl part-
#
# The CUDA libraries that it needs (cuBLAS, cuRAND and the runtime, of CUDA 13) are found in /usr/local/cuda, in the packages of Python
# and in LD_LIBRARY_PATH.
#
#   --provider cuda|cpu   cpu runs the same steps on the CPU, with the wheel onnxruntime: scripts/cuda/try.sh tests the script this way
#   --quick               fewer fixtures, prompts and taus
#   --model DIR           measure the speed on this model instead of the embedded one; requires --data
#   --data FILE
#
# ONNX_INJECT  the program (default: bin/onnx-inject)
# PYTHON       a Python with numpy (default: python3)
# RESULTS      the folder that receives log and results (default: bin/cuda-check)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
program=$(realpath "${ONNX_INJECT:-bin/onnx-inject}")
python=${PYTHON:-python3}
results=${RESULTS:-bin/cuda-check}

usage() { echo "usage: $0 [--provider cuda|cpu] [--quick] [--model DIR --data FILE] PART…" >&2; exit 2; }
provider=cuda quick='' model='' data=''
while [ $# -gt 0 ]; do
	case $1 in
	--provider) provider=${2:-}; shift 2 || usage ;;
	--model) model=${2:-}; shift 2 || usage ;;
	--data) data=${2:-}; shift 2 || usage ;;
	--quick) quick=1; shift ;;
	-*) usage ;;
	*) break ;;
	esac
done
case $provider in cuda | cpu) ;; *) usage ;; esac
[ $# -gt 0 ] || usage
[ "${model:+x}" = "${data:+x}" ] || usage

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$results"
mkdir -p "$results"
failures=()

# step NAME COMMAND… runs a command or function and records how it ended. Everything that may hang in it has its own time limit.
step() {
	local name=$1 start=$SECONDS code=0
	shift
	printf '\n== %s\n' "$name"
	"$@" > >(tee "$results/$name.txt") 2>&1 || code=$?
	case $code in
	0) printf '== %s: ok, %d s\n' "$name" $((SECONDS - start)) ;;
	124 | 137) printf '== %s: NOT FINISHED within its time limit, %d s\n' "$name" $((SECONDS - start)); failures+=("$name") ;;
	*) printf '== %s: FAILED with exit code %d, %d s\n' "$name" "$code" $((SECONDS - start)); failures+=("$name") ;;
	esac
	return "$code"
}
limited() { timeout --kill-after=5 "$@"; } # SECONDS COMMAND…

# 1. the library: joined, compared with the pinned sums, unpacked; without it no other step makes sense
site=$work/site world=$work/world
step library limited 60 "$python" scripts/cuda/library.py "$provider" "$site" "$@" || exit 1
ONNX_INJECT_ORT_LIB=$(find "$site/onnxruntime/capi" -name 'libonnxruntime.so.*')
LD_LIBRARY_PATH=$("$python" scripts/cuda/library.py --folders)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export ONNX_INJECT_ORT_LIB LD_LIBRARY_PATH PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
[ "$provider" = cpu ] || step gpu limited 20 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
step doctor limited 30 "$program" ort doctor
step demo limited 60 "$program" demo -o "$world" || exit 1

# 2. the laws: every port and memory of the embedded model
verify() {
	limited 20 "$program" rewrite "$world" -o "$world/patched.onnx" --expose "result,z,pattern,attn_out,mlp_out,resid_pre" --inject all --force &&
		limited 60 "$program" verify "$world/patched.onnx" --against "$world" --device "$provider"
}
step verify verify

# 3. cells: the plans on the device, and one run for each cell on the CPU, give the same numbers
evaluate() { # DEVICE PLAN FOLDER MODEL DATA FLAG…
	limited 90 "$program" eval "$4" --data "$5" --device "$1" --plan "$2" -o "$3" --json "${@:6}" >"$3.json"
}
cells() {
	local flags=(--limit 24 --taus "0.5,1,2,4") plan
	[ -z "$quick" ] || flags=(--limit 4 --taus 1)
	evaluate cpu points "$work/cpu" "$world" "$world/prompts.csv" "${flags[@]}" || return
	for plan in fanout rows; do
		echo "plan $plan on $provider and plan points on the CPU:"
		evaluate "$provider" "$plan" "$work/$plan" "$world" "$world/prompts.csv" "${flags[@]}" || return
		limited 20 "$python" scripts/cuda/cells.py "$work/cpu" "$work/$plan" 1e-4 || return
	done
}
step cells cells

# 4. speed: the same sweep on the CPU and on the device
speed() {
	local flags=(--taus 1:15) device
	[ -z "$quick" ] || flags=(--limit 12 --taus "1,2")
	for device in cpu "$provider" "$provider"; do # the second run on the device finds it warm
		rm -rf "$work/speed"
		evaluate "$device" fanout "$work/speed" "${model:-$world}" "${data:-$world/prompts.csv}" "${flags[@]}" || return
		"$python" -c 'import json, sys
t = json.load(open(sys.argv[1]))
s = t["seconds"]
print(sys.argv[2], t["cells"], "cells,", round(s["load"], 2), "s to load,", round(s["run"], 2), "s to run,", round(t["cells"] / s["run"]), "cells/s")' \
			"$work/speed.json" "$device" || return
	done
}
step speed speed

# 5. every fixture against PyTorch in double precision, through ONNX Runtime's Python package: the same library without this program
host=cuda only=
[ "$provider" = cuda ] || host=onnxruntime
[ -z "$quick" ] || only=torchscript
step conformance limited 200 "$python" scripts/conformance/check.py "$program" models/testdata models/testdata/families --host "$host" --only "$only"

printf '\n'
if [ ${#failures[@]} -gt 0 ]; then
	printf '%d s; FAILED: %s\n' "$SECONDS" "${failures[*]}" | tee "$results/summary.txt"
	exit 1
fi
printf '%d s; everything passed on %s\n' "$SECONDS" "$provider" | tee "$results/summary.txt"
