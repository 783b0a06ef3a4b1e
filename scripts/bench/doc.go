// Command bench measures the cost of onnx-inject and compares it with goals.
//
//	go run ./scripts/bench                    # everything except P4 and P8; 13 GB of disk, most of it torch, 25 minutes
//	go run ./scripts/bench -only P1,P15       # some rows
//	go run ./scripts/bench -only P1-genai,P5-llama,P7-llama,P9b-llama   # the rows of other families than GPT-2
//	go run ./scripts/bench -p4                # with Python on 6.2 GB: 19 GB of disk, 8 GB of memory, several minutes
//	go run ./scripts/bench -p8                # with GPT-2 large: 7 GB of disk, 14 GB of memory, several minutes
//
// # How the figures are taken
//
// Every figure is a ratio of two things measured in the same run, so that the speed of the machine cancels out. P1-genai, P15
// and the memory rows are absolute bounds. The two things are run in turn, A B B A, and the best run of each counts, because other
// work on the machine only makes a run slower. The load is printed at both ends. On a machine with more work than processors
// the figures are unreliable, and the processor time in the notes is a better guide. Times of commands are for the whole
// process, including its start; memory is its peak resident size as reported by the kernel (ru_maxrss). On Linux that is
// never less than the peak of the process that started it, so this program stays small: it loads ONNX Runtime only in a
// child process, which is this program again (see [session]).
//
// ONNX Runtime computes with one thread by default. Two threads on a busy machine wait for each other, which would measure
// the other programs.
//
// The models have random weights, because the time of matrix products does not depend on values. scripts/bench/gen writes the
// models of P1 to P6, P13 and P15, except that of P5-llama. The other models are created by transformers and exported by
// optimum (see peers.py), because the peers run the same weights and tokenizer: GPT-2 with its real vocabulary, and a Llama
// of SmolLM2-135M's size (see llama.py). Their Python is that of scripts/parity, or BENCH_PYTHON.
//
// The exit status is 0 for any figures, because a busy machine must not fail a build, and 1 when something could not be
// measured.
//
// # The evaluation
//
// P7 to P12, P14, P16 and P17 measure eval: 106 prompts with the lengths of the paper's prompts, 12 layers, 15 taus. Peers take
// up to a quarter of a second for each of the 19,080 cells, so they run a few cells of a few prompts, and eval runs the same
// prompts in turn with them. Only P10 to P12, P14 and P16 use the whole sweep, which runs once for all of them, and once more
// with a kill in the middle. Operations are counted (see flops.go), and their rate is compared with one matrix product in the
// same ONNX Runtime, before and after the sweep.
//
// P18 runs the demo model in a child process with limits, and directly.
//
// # Captures
//
// P19a and P19b measure capture: the residual streams of the same 106 prompts after all 12 layers, written to disk. Its time is that
// of the whole command without its start. The peers keep what they compute in memory.
//
// # Generation
//
// P20 to P22 measure generate: 128 new tokens after a prompt of 14, the most likely ones, with equal threads. optimum runs its own
// export of SmolLM2's size, onnxruntime-genai the files that its builder makes of the same checkpoint, in float32 and int4 (see
// generation.py).
//
// P23 and P24 measure eval at the last position, where the keys and values of the other positions are computed once: compared with
// eval at all positions, and with PyTorch that does the same.
//
// P25 measures what an intervention costs while a model generates: a vector added to the residual stream of one layer at every token.
// The session that has no intervention has no ports.
//
// P7-llama and P9b-llama measure prompts of the same lengths on 30 layers, with half as many prompts.
package main
