#!/bin/sh
# Runs the tests of every package under the race detector, which makes them several times slower. Tests that repeat one thing many
# times (kills, random edits, sequences of steps on every fixture) do fewer repetitions (-short).
#
#   scripts/race.sh [PACKAGE …]     # default: all
# Four tests are left out. Two limit the address space of a process, and the detector needs more than they leave. Two stop a process at
# an instant that they take from its usual time, which the detector changes.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- ./...
exec go test -race -short -timeout 2h -skip '^TestD08AddressSpace$|^TestCommand$/no_memory_in_Go|^TestD02InterruptedRewrite$|^TestD02EveryCommand$' "$@"
