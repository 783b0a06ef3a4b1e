// Package outdir holds what the folders of long computations share. Such a folder has a manifest that says what was computed,
// and data that grows until the computation ends.
//
//   - [Open] locks a folder: one process writes to it at a time. A killed process releases its lock.
//   - [Diff] compares two manifests. A computation resumes only under the manifest with which it started.
//   - [Seal] adds a checksum to the text of a manifest, and [CheckSeal] finds out whether the text was changed since.
//
// What the data is, and when a part of it counts as done, is decided by the packages that use this one: results and capture.
package outdir
