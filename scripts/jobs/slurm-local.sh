#!/usr/bin/env bash
# Runs the array job of slurm.sh on a real Slurm, which this script starts on the loopback interface and stops again. Two tasks are
# killed in the middle of their work and requeued. The merged results must equal those of one process, byte for byte.
#
#   apt-get install --no-install-recommends slurmctld slurmd slurm-client munge     # Debian; once, as root
#   scripts/jobs/slurm-local.sh
#
# It needs no configured cluster and touches none: configuration, keys, sockets and logs are in a folder that it removes. Nothing runs
# in control groups, so that it works in a container. PARTS tasks (default 4) share the processors of this machine.
#
# Recorded on Debian 12 with its own packages, two shared processors:
#
#   03:36:43  slurm-wlm 22.05.8 runs on loopback: node vm, 4 slots, idle
#   03:37:40  one process: 216 prompts, 31104 cells, 52 s
#   03:37:40  submitted array job 1 with 4 tasks
#   03:37:46  task 1: process killed with SIGKILL after 4 of 54 prompts; Slurm: FAILED
#   03:37:46  task 2: requeued while it ran, after about 7 of 54 prompts
#   03:38:25  task 0: COMPLETED, 0 restarts
#   03:38:25  task 1: COMPLETED, 1 restarts
#   03:38:25  task 2: COMPLETED, 1 restarts
#   03:38:25  task 3: COMPLETED, 0 restarts
#   03:38:25  task 1: 54 prompts, 4 of them from an earlier run
#   03:38:25  task 2: 54 prompts, 8 of them from an earlier run
#   03:38:28  rows of cells.csv and prompts.csv are equal; merged Parquet is equal: 8a9b08b390b609dc, 557269 bytes
#
# ONNX_INJECT  the program (default: bin/onnx-inject)
# KEEP         a folder that receives logs and results; it must not exist
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
parts=${PARTS:-4}
program=$(realpath "${ONNX_INJECT:-bin/onnx-inject}")

for tool in munged slurmctld slurmd sbatch scontrol; do
	PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || {
		echo "$0: want $tool of Slurm and munge, found none: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge" >&2
		exit 1
	}
done
PATH=$PATH:/usr/sbin

work=$(mktemp -d)
chmod 755 "$work" # munge refuses a socket that not everyone can reach
pids=()
finish() {
	local code=$?
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	if [ "$code" -ne 0 ]; then tail -n 20 "$work"/log/* >&2 || true; fi
	if [ -n "${KEEP:-}" ]; then cp -r "$work" "$KEEP"; fi
	rm -rf "$work"
}
trap finish EXIT

step() { printf '%(%H:%M:%S)T  %s\n' -1 "$*"; }

# until_true SECONDS COMMAND… repeats the command until it succeeds.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || {
			echo "$0: gave up waiting for: $*" >&2
			exit 1
		}
		sleep 0.1
	done
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# 1. Slurm on loopback: one controller, one node with as many slots as parts
mkdir -m 755 "$work"/{munge,log,state,spool,jobs}
(umask 077 && head -c 128 /dev/urandom >"$work/munge/key")
munged --foreground --num-threads=2 --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
	--log-file="$work/munge/log" --seed-file="$work/munge/seed" >"$work/log/munged" 2>&1 &
pids+=($!)
until_true 10 test -S "$work/munge/socket"

me=$(id -un) host=$(hostname -s)
export SLURM_CONF=$work/slurm.conf
cat >"$SLURM_CONF" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
SlurmUser=$me
SlurmdUser=$me
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/log/slurmctld
SlurmdLogFile=$work/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=1
MinJobAge=3600
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$parts RealMemory=1024
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
# No plugin above uses control groups. Releases before 23.11 load their code nevertheless.
version=$(slurmd -V | sed 's/.* //')
if printf '%s\n' 23.11 "$version" | sort -CV; then echo 'CgroupPlugin=disabled'; else echo 'CgroupPlugin=cgroup/v1'; fi >"$work/cgroup.conf"
slurmctld -D -c >/dev/null 2>"$work/log/slurmctld.err" &
pids+=($!)
slurmd -D >/dev/null 2>"$work/log/slurmd.err" &
pids+=($!)
idle() { [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; }
until_true 30 idle
step "$(sinfo --version) runs on loopback: $(sinfo -h -N -o 'node %N, %c slots, %T')"

# 2. the embedded model, and the evaluation in one process
"$program" demo --threads 1 -o "$work/world" >/dev/null
flags=(--taus 0.5:4:0.5 --memory curated --memory wrong --memory "random:$work/world/words.txt" --plan points)
start=$SECONDS
"$program" eval "$work/world" --data "$work/world/prompts.csv" -o "$work/whole" --threads 1 "${flags[@]}" >"$work/log/whole" 2>&1
step "one process: $(($(wc -l <"$work/whole/prompts.csv") - 1)) prompts, $(($(wc -l <"$work/whole/cells.csv") - 1)) cells, $((SECONDS - start)) s"

# 3. the array job of slurm.sh; a machine of four processors is not needed, so its requests are overridden
out=$work/out
mkdir "$out"
cd "$work/jobs"
export ONNX_INJECT=$program
job=$(sbatch --parsable --array="0-$((parts - 1))" --cpus-per-task=1 --mem=0 "$root/scripts/jobs/slurm.sh" \
	"$work/world" "$work/world/prompts.csv" "$out" "${flags[@]}")
step "submitted array job $job with $parts tasks"

rows() { [ -f "$out/part-$1/prompts.csv" ] && [ "$(wc -l <"$out/part-$1/prompts.csv")" -gt "$2" ]; }
state() { scontrol show job "${job}_$1" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'; }
in_state() { [ "$(state "$1")" = "$2" ]; }
restarts() { scontrol show job "${job}_$1" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'; }
whole_part() { echo $((($(wc -l <"$work/whole/prompts.csv") - 1 + parts - 1 - $1) / parts)); } # prompts of a part

# 4. task 1: its process is killed, Slurm marks it as failed, and it is requeued by hand
until_true 120 rows 1 4
victim=$(pgrep -f "eval .*$out/part-1 ")
kill -KILL "$victim"
until_true 60 in_state 1 FAILED
at=$(($(wc -l <"$out/part-1/prompts.csv") - 1))
[ "$at" -lt "$(whole_part 1)" ] || { echo "$0: task 1 was complete before it was killed" >&2; exit 1; }
step "task 1: process killed with SIGKILL after $at of $(whole_part 1) prompts; Slurm: $(state 1)"
scontrol requeue "${job}_1"

# 5. task 2: requeued while it runs, so that Slurm itself ends it
until_true 120 rows 2 4
in_state 2 RUNNING || { echo "$0: task 2: want RUNNING, got $(state 2)" >&2; exit 1; }
scontrol requeue "${job}_2"
at=$(($(wc -l <"$out/part-2/prompts.csv") - 1))
step "task 2: requeued while it ran, after about $at of $(whole_part 2) prompts"

# Slurm holds a requeued task back for a while; BeginTime ends that.
released() { scontrol update "jobid=${job}_$1" starttime=now 2>/dev/null || true; in_state "$1" COMPLETED; }
for ((i = 0; i < parts; i++)); do until_true 400 released "$i"; done
for ((i = 0; i < parts; i++)); do step "task $i: $(state "$i"), $(restarts "$i") restarts"; done
for i in 1 2; do
	[ "$(restarts $i)" -eq 1 ] || { echo "$0: task $i: want 1 restart, got $(restarts $i)" >&2; exit 1; }
	step "task $i: $(sed -n 's/^  prompts *\([0-9]*\) *\(.*from an earlier run\)$/\1 prompts, \2/p' "$work/jobs/onnx-inject-$job-$i.log" | grep .)"
done

# 6. the same bytes: every row of the tables, and the merged table as Parquet
for table in cells.csv prompts.csv; do
	cmp <(sort "$work/whole/$table") <(head -qn 1 "$out/part-0/$table" | cat - <(tail -qn +2 "$out"/part-*/"$table") | sort)
done
"$program" report "$work/whole" -o "$work/whole.html" --parquet "$work/whole.parquet" >/dev/null
"$program" report "$out"/part-*[0-9] -o "$work/merged.html" --parquet "$work/merged.parquet" >/dev/null
cmp "$work/whole.parquet" "$work/merged.parquet"
step "rows of cells.csv and prompts.csv are equal; merged Parquet is equal: $(sha256sum <"$work/merged.parquet" | cut -c1-16), $(stat -c %s "$work/merged.parquet") bytes"
