// Command bench measures what onnx-inject costs and holds it against goals.
//
//	go run ./scripts/bench                    # everything but P4 and P8; 11 GB of disk, most of it torch, a quarter of an hour
//	go run ./scripts/bench -only P1,P15       # some rows
//	go run ./scripts/bench -p4                # with Python on 6.2 GB: 19 GB of disk, 8 GB of memory, several minutes
//	go run ./scripts/bench -p8                # with GPT-2 large: 7 GB of disk, 14 GB of memory, several minutes
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
// The models have random weights: the time of matrix products does not depend on values. Those of P1 to P6, P13 and P15 are
// written by scripts/bench/gen; those of the evaluation are made by transformers and exported by optimum (see peers.py), with
// the real vocabulary, because the peers run the same weights and tokenizer. Their Python is that of scripts/parity,
// or BENCH_PYTHON.
//
// The exit status is 0 whatever the figures are, and 1 when something could not be measured: a busy machine must not fail a build.
//
// # The evaluation
//
// P7 to P12, P14, P16 and P17 are about eval: 106 prompts of the lengths that the paper's have, 12 layers, 15 taus. Peers
// take up to a quarter of a second for each of the 19,080 cells, so they run a few cells of a few prompts, and eval runs the same
// prompts in turn with them; only P10 to P12, P14 and P16 take the whole sweep, which runs once for all of them, and once
// more killed in the middle. Operations are counted (see flops.go), and their rate is held against one matrix product in
// the same ONNX Runtime, before and after the sweep.
package main
