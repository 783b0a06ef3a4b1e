// Package lib finds, installs and inspects the ONNX Runtime shared library. It is plain Go: it reads libraries as
// files and never loads one, so every command that only talks about them works in a build without cgo.
//
// # Which library is taken
//
// [Find] looks in this order and says which place it took ([Source]):
//
//  1. the path the user gave (--ort-lib)
//  2. $ONNX_INJECT_ORT_LIB
//  3. $ONNXRUNTIME_SHARED_LIBRARY_PATH, which other programs on the same binding read too
//  4. lib/ beside the executable
//  5. the user cache, where [Install] puts it
//  6. the system's library folders
//
// The first three are statements, not guesses: a file that is missing there is an error and not a reason to look
// further.
//
// # What is refused before it is loaded
//
// A shared library runs code the moment it is loaded, so [Check] looks at the file first. The path must be absolute,
// and nobody but its owner may be able to replace the file or a folder above it. The file must be for this machine,
// and its version at least [Oldest]. A file in our cache must have one of the SHA-256 sums that manifest.json pins.
//
// # Installing
//
// [Install] asks the package client that the machine already has (pip, else npm) for one package by name and version,
// takes the library out of it, compares its SHA-256 with the pinned one and renames it into place. No install script
// is run. The packages of pip and npm hold different builds of the same version; manifest.json pins each.
package lib
