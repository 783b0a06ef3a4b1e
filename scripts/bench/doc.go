// Command bench measures what onnx-inject costs and holds it against goals.
//
//	go run ./scripts/bench                    # everything but P4; 2.2 GB of disk in .cache/bench, a few minutes
//	go run ./scripts/bench -only P1,P15       # some rows
//	go run ./scripts/bench -p4                # with Python on 6.2 GB: 19 GB of disk, 8 GB of memory, several minutes
//
// # How the figures are taken
//
// Every figure is a ratio of two things measured in the same run, so that the machine cancels out (P15 and the memory
// rows are bounds and stand as they are). The two are run in turn, A B B A, and the best of each counts: whatever else
// the machine does only ever makes a run slower. The load is printed at both ends; on a machine that is busier than it
// has processors figures are worth little, and the processor time in the notes is the better guide. Times of commands
// are of the whole process, start included; memory is its peak resident size as the kernel reports it (ru_maxrss). On
// Linux that is never less than the peak of the process that started it, so this program stays small: ONNX Runtime is
// only ever loaded in a child, which is this program again (see [session]).
//
// ONNX Runtime computes with one thread unless told otherwise: two threads on a busy machine wait for each other, which
// measures the neighbours.
//
// The models have random weights (see scripts/bench/gen): the time of matrix products does not depend on values.
//
// The exit status is 0 whatever the figures are, and 1 when something could not be measured: a busy machine must not fail a build.
package main
