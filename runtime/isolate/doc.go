// Package isolate runs this program a second time, as a child process with limits on time and memory, so that a model cannot
// take the program down with it.
//
// A host is foreign code in the same process. If it crashes, or aborts because memory is short, Go cannot recover; if it loads a
// model for hours, nothing stops it. The parent process therefore runs no model: [Command.Run] starts the same program with the
// same arguments, watches it, and returns an error of one line however the child ends. The child computes what the program
// computes without isolation, by the same code, so the results are equal bit for bit.
//
// # What connects the two processes
//
//   - Standard output of the child is collected, and passed on only if the child ends by itself. A crash leaves nothing half
//     written.
//   - Messages of the child go straight to the standard error of the parent ([Child.Stderr]).
//   - What the child's runtime, or the host, prints when it crashes goes into a pipe. The parent takes the cause from it.
//   - Standard input of the child is a pipe too. Each byte is the number of a signal, which the parent passes on. The end of the
//     pipe means that the parent is gone, and the child ends at once.
//   - Events: the child reports when it begins and ends to load and to run a model ([Child.Watch]), and when it ends. The
//     parent measures the times, because the child may be too busy to do so. An end that was not reported is a crash.
//
// # Memory
//
// The limit on memory is a limit on the address space of the child (RLIMIT_AS). Only Linux enforces it; see [LimitsMemory]. An
// address space is larger than the memory in use: the runtimes of Go and C reserve about 2 GB before a model is loaded. A
// GPU's driver reserves far more, so a child that uses one cannot have such a limit.
//
// # Systems
//
// Windows passes no additional files to a child process; there [Command.Run] returns an error.
package isolate
