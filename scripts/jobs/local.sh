#!/bin/sh
# One evaluation in N processes on this machine, and one report of all parts. The same command resumes after a kill.
#
#   scripts/jobs/local.sh N MODEL DATA OUT [FLAGS OF eval]
#   scripts/jobs/local.sh 2 world world/prompts.csv world-results --taus 0.5,1,2
#
# THREADS      threads of each process (default: the processors divided by N)
# ONNX_INJECT  the program (default: onnx-inject)
set -eu
[ $# -ge 4 ] || { echo "usage: $0 N MODEL DATA OUT [FLAGS OF eval]" >&2; exit 2; }
n=$1 model=$2 data=$3 out=$4
shift 4
program=${ONNX_INJECT:-onnx-inject}
threads=${THREADS:-$(($(getconf _NPROCESSORS_ONLN) / n))}
[ "$threads" -gt 0 ] || threads=1
mkdir -p "$out"

pids=
trap 'kill -INT $pids 2>/dev/null || true' INT TERM # each process finishes its prompt
part=0
while [ "$part" -lt "$n" ]; do
	"$program" eval "$model" --data "$data" -o "$out/part-$part" --shard "$part/$n" --threads "$threads" "$@" >"$out/part-$part.log" 2>&1 &
	pids="$pids $!"
	part=$((part + 1))
done

part=0 failed=0
for pid in $pids; do
	code=0
	wait "$pid" || code=$?
	if [ "$code" -ne 0 ]; then
		failed=$code
		echo "$0: part $part ended with exit code $code:" >&2
		cat "$out/part-$part.log" >&2
	fi
	part=$((part + 1))
done
[ "$failed" -eq 0 ] || exit "$failed"
"$program" report "$out"/part-*[0-9] -o "$out/report.html"
