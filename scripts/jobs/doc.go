// Package jobs spreads one evaluation over processes or machines. The engines that a cluster has do the work of that:
// "onnx-inject eval --shard auto" asks them which part is its own, and the same command goes on where a killed one
// stopped. Three files show how, and a test runs each of them:
//
//	local.sh         processes of one machine
//	slurm.sh         an array job of Slurm
//	kubernetes.yaml  an indexed job of Kubernetes
//
// All of them end with one folder a part below OUT, which "onnx-inject report OUT/part-*" takes together.
//
// A shard is every N-th prompt, so that parts take about as long as each other. One machine is kept busy by one process
// with all its threads already: local.sh is for trying the rest out, and for machines of several processors.
package jobs
