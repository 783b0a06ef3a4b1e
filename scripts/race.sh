#!/bin/sh
# Runs the tests of every package under the race detector, which makes them several times slower. Tests that repeat one thing many
# times (kills, random edits) do fewer repetitions (-short).
#
#   scripts/race.sh [PACKAGE …]     # default: all
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- ./...
exec go test -race -short -timeout 2h "$@"
