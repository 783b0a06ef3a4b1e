// Command onnx-inject opens trained GPT-2 models in ONNX files: it shows what their attention heads write, and it injects
// memories into them.
//
// A verb is a sentence about a model: flags in, one call to the packages beside this one, text or JSON out. Each verb stands
// in a file of its own and on one line of [verbs]; help, manual page and completion follow from the table. What is worth a
// unit test lives elsewhere, with two exceptions that only a command line needs: [arrange], which lets flags stand behind
// arguments, and [escape], which keeps what a model file says away from the terminal.
//
// What always holds:
//   - Results go to standard output, everything else to standard error, each line with "onnx-inject: " before it.
//   - With --json, standard output holds one JSON document or nothing. It never holds NaN; what is not finite is null.
//   - A verb returns an error and never exits; [exitCode] alone knows the numbers.
//   - inspect and rewrite load no shared library. Built without cgo they work, and so does every part of the others that
//     needs no run of a model.
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
