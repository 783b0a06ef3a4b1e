// Command onnx-inject opens decoder language models in ONNX files: it shows what their attention heads write, and it injects
// memories into them.
//
// A command reads its flags, calls the library packages, and prints text or JSON. Each command has its own file and one line
// in [commands]; help, the manual page and shell completion are generated from that table. Logic that needs unit tests is in
// the library packages, with two exceptions that only a command line needs: [arrange], which allows flags after arguments, and
// [escape], which removes control characters of model files from the output.
//
// Invariants:
//   - Results go to standard output. Everything else goes to standard error; each of its lines begins with "onnx-inject: ".
//   - With --json, standard output is one JSON document or empty. It never contains NaN; a value that is not finite is null.
//   - A command returns an error and never exits; only [exitCode] maps errors to numbers.
//   - inspect and rewrite load no shared library. They work in a program built without cgo, and so does every part of the
//     other commands that does not run a model.
//
// # Exit codes
//
//	0    done
//	1    an error inside this program
//	2    the command line is wrong
//	3    refused: a model, file, library or device that cannot be used
//	4    a check failed: verify, doctor, a memory without effect
//	5    cannot write
//	6    locked by another run
//	7    out of memory
//	8    done, but some numbers are not finite
//	130  interrupted (SIGINT), 143 (SIGTERM)
package main
