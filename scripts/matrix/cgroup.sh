#!/usr/bin/env bash
# Row D08 under the system's own limit: evaluates the demo model in a memory cgroup until the kernel kills the process, and checks the
# message, the exit code, the rows so far, and that a resumed evaluation has the bytes of one that was not interrupted.
#
#   ONNX_INJECT=bin/onnx-inject scripts/matrix/cgroup.sh     # needs Linux and the right to make a memory cgroup (root)
set -euo pipefail
cd "$(dirname "$0")/../.."
inject=$(realpath "${ONNX_INJECT:-bin/onnx-inject}")
fail() { echo "$0: $*" >&2; exit 1; }

# Version 2 of cgroups has one tree. In version 1 each controller has its own.
if grep -qsw memory /sys/fs/cgroup/cgroup.subtree_control; then
	group=/sys/fs/cgroup/onnx-inject-$$ limit=memory.max swap=memory.swap.max
elif [ -d /sys/fs/cgroup/memory ]; then
	group=/sys/fs/cgroup/memory/onnx-inject-$$ limit=memory.limit_in_bytes swap=memory.memsw.limit_in_bytes
else
	fail "want a memory controller of cgroups below /sys/fs/cgroup, got none"
fi
mkdir "$group" || fail "want the right to make $group: run as root"
work=$(mktemp -d)
cleanup() {
	xargs -r kill -9 <"$group/cgroup.procs" 2>/dev/null || true
	for _ in $(seq 50); do rmdir "$group" 2>/dev/null && break || sleep 0.1; done
	rm -rf "$work"
}
trap cleanup EXIT

write() { echo "$2" >"$group/$1"; }
bytes() { # sets the limit of the group, with no swap; in version 1 the limit with swap must never be below the one without
	if [ "$swap" = memory.swap.max ]; then
		write $limit "$1"
		[ ! -e "$group/$swap" ] || write $swap 0
	elif [ ! -e "$group/$swap" ]; then
		write $limit "$1"
	else
		{ write $limit "$1" && write $swap "$1"; } 2>/dev/null || { write $swap "$1" && write $limit "$1"; }
	fi
}
inside() { bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' inside "$group" "$@"; }
evaluate() { # FOLDER [FLAG …]
	local out=$1
	shift
	"$inject" eval models/demo --data models/demo/prompts.csv --limit 40 --taus 1,2,4 --memory curated --memory wrong --plan points --threads 1 -o "$out" "$@"
}
export -f evaluate
export inject work
killed() { # CODE: checks the end of a process that the kernel killed
	[ "$1" -eq 7 ] || fail "want exit code 7, got $1: $(cat "$work/err")"
	grep -q '^onnx-inject: out of memory: ' "$work/err" || fail "want a message about memory, got: $(cat "$work/err")"
	[ "$(wc -l <"$work/err")" -le 2 ] || fail "want a message and a hint, got: $(cat "$work/err")"
	sed 's/^/  /' "$work/err"
}

evaluate "$work/whole" >/dev/null 2>&1
same() { # FOLDER: the rows are those of the evaluation that was not interrupted
	for file in cells.csv prompts.csv; do
		cmp "$work/whole/$file" "$1/$file" || fail "$file of the resumed evaluation differs"
	done
}

echo "a limit in which the model does not fit"
bytes $((24 << 20))
code=0
inside bash -c 'evaluate "$work/small" --isolate' >"$work/out" 2>"$work/err" || code=$?
killed $code

echo "memory that another process takes while rows are written"
room=$((200 << 20))
bytes $room
inside bash -c 'evaluate "$work/cut" --isolate' >"$work/out" 2>"$work/err" &
evaluation=$!
until [ -e "$work/cut/prompts.csv" ] && [ "$(wc -l <"$work/cut/prompts.csv")" -gt 2 ]; do
	kill -0 $evaluation 2>/dev/null || fail "the evaluation ended before it wrote rows: $(cat "$work/err")"
	sleep 0.02
done
# The evaluation is stopped until the memory is used up. The kernel is asked to end the process that runs the model first: the one
# whose parent has the same name. Then there is room again.
running() { # the processes of the program in the group
	while read -r pid; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != onnx-inject ] || echo "$pid"
	done <"$group/cgroup.procs"
}
xargs kill -STOP <"$group/cgroup.procs"
for pid in $(running); do
	[ "$(ps -o comm= -p "$(ps -o ppid= -p "$pid" | tr -d ' ')")" != onnx-inject ] || echo 1000 >"/proc/$pid/oom_score_adj"
done
taken=$(sed -nE 's/^(rss|anon) ([0-9]+)$/\2/p' "$group/memory.stat")
inside env size=$((room - taken + (8 << 20))) bash -c 'head -c $size /dev/zero | { tail -c $size; sleep 60; }' >/dev/null 2>&1 &
hog=$!
for _ in $(seq 300); do
	[ "$(running | wc -l)" -gt 1 ] && sleep 0.1 || break
done
[ "$(running | wc -l)" -eq 1 ] || fail "want the kernel to end one of two processes, got: $(running)"
xargs kill -CONT <"$group/cgroup.procs"
code=0
wait $evaluation || code=$?
xargs -r kill -9 <"$group/cgroup.procs" 2>/dev/null || true
wait $hog 2>/dev/null || true
killed $code
rows=$(($(wc -l <"$work/cut/prompts.csv") - 1))
[ "$rows" -ge 2 ] && [ "$rows" -lt 40 ] || fail "want some of 40 prompts, got $rows"
echo "  $rows of 40 prompts are kept"
evaluate "$work/cut" >/dev/null 2>&1
same "$work/cut"
echo "  resumed: the rows of an evaluation that was not interrupted"
echo "D08 pass"
