// Package jobs distributes one evaluation over processes or machines. The job managers of a cluster do the work:
// "onnx-inject eval --shard auto" reads its part from the job manager, and the same command resumes where a killed one
// stopped. Three files show how, and a test runs each of them:
//
//	local.sh         processes of one machine
//	slurm.sh         an array job of Slurm
//	kubernetes.yaml  an indexed job of Kubernetes
//
// slurm-local.sh ("make slurm") runs the array job on a real Slurm that it starts on the loopback interface, kills and requeues tasks, and
// compares the merged results with those of one process. kubernetes.sh ("make kubernetes") validates the manifest against the
// schemas that Kubernetes publishes.
//
// Each of them writes one folder per part below OUT, which "onnx-inject report OUT/part-*" combines.
//
// A shard is every N-th prompt, so that all parts take about the same time. One process with all its threads already uses a
// whole machine: local.sh is for trying out sharding, and for machines with several processors.
package jobs
