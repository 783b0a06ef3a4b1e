// Package lib finds, installs and inspects the ONNX Runtime shared library. It is plain Go: it reads libraries as files
// and never loads one, so commands that only report on libraries also work in a build without cgo.
//
// # Search order
//
// [Find] searches these places in order and returns the place ([Source]) with the library:
//
//  1. the path given by the user (--ort-lib)
//  2. $ONNX_INJECT_ORT_LIB
//  3. $ONNXRUNTIME_SHARED_LIBRARY_PATH, which other programs with the same binding also read
//  4. $ONNX_INJECT_PACKAGE_ORT: the library in the onnxruntime package beside which pip or npm installed this program;
//     the package's launcher sets it
//  5. the folder lib/ next to the executable
//  6. the user cache, which [Install] fills
//  7. the system's library folders
//
// The first three are explicit choices of the user: a missing file there is an error, and the search does not continue.
//
// # Checks before loading
//
// Loading a shared library runs its code, so [Check] examines the file first. The path must be absolute, and only its
// owner may be able to replace the file or a folder above it. The file must be built for this machine, and its version
// must be at least [Oldest]. A file in the cache must have one of the SHA-256 sums that manifest.json pins.
//
// # Installing
//
// [Install] uses a package client that the machine already has (pip, else npm) to download one package by name and
// version. It extracts the library, compares its SHA-256 sum with the pinned one and renames it into place. No install
// script is run. The packages of pip and npm hold different builds of the same version; manifest.json pins each build.
package lib
