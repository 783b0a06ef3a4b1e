#!/bin/sh
# One evaluation as an array job of Slurm: each task evaluates its part of the prompts, and a second job creates the report.
#
#   mkdir -p OUT
#   job=$(sbatch --parsable --array=0-7 scripts/jobs/slurm.sh MODEL DATA OUT [FLAGS OF eval])
#   sbatch --dependency=afterok:"$job" --wrap 'onnx-inject report OUT/part-*[0-9] -o OUT/report.html'
#
# MODEL, DATA and OUT must be on a file system that all machines share. The number of tasks is the number of parts; number
# the tasks without gaps. A task that is requeued resumes where it stopped, and so does the whole array when it is submitted
# again.
#
#SBATCH --job-name=onnx-inject
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --requeue
#SBATCH --output=onnx-inject-%A-%a.log
set -eu
[ $# -ge 3 ] || { echo "usage: sbatch --array=0-N $0 MODEL DATA OUT [FLAGS OF eval]" >&2; exit 2; }
model=$1 data=$2 out=$3
shift 3
exec "${ONNX_INJECT:-onnx-inject}" eval "$model" --data "$data" -o "$out/part-$SLURM_ARRAY_TASK_ID" \
	--shard auto --threads "${SLURM_CPUS_PER_TASK:-1}" "$@"
