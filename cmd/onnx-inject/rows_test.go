package main

import (
	"testing"
)

// The tests below are the rows of the matrix of reliability that a script can describe; testdata/rows holds one script for each.

// A data file that shrinks, grows or is replaced between rewrite and run is refused.
func TestB07DataFileChanges(t *testing.T) { row(t) }

// The output is never the input or its data file, whatever the name: device and inode are compared.
func TestC01OutputIsInput(t *testing.T) { row(t) }

// An existing output is kept without --force.
func TestC02OutputExists(t *testing.T) { row(t) }

// A full disk is exit code 5, with the path and the bytes that are needed. Nothing half written is left.
func TestC04DiskFull(t *testing.T) { row(t) }

// Folders that cannot be written to, or do not exist.
func TestC06NoPermission(t *testing.T) { row(t) }

// Another model, tokenizer, data file, list of taus or flag does not continue a folder.
func TestD06AnotherEvaluation(t *testing.T) { row(t) }

// Times, time zones and locales have no effect on rows.
func TestD09TimeAndLocale(t *testing.T) { row(t) }
