#!/bin/sh
# Searches the modules of this repository for known vulnerabilities with the Go project's govulncheck.
#
#   scripts/supply/vuln.sh
#
# GOVULNDB  another database: file:///PATH of a copy, or the address of a mirror
#
# Exit codes: 0 nothing was found; 3 vulnerable code is called; 4 the database did not answer, so nothing was checked.
set -u
cd "$(dirname "$0")/../.." || exit
out=$(mktemp)
trap 'rm -f "$out"' EXIT
go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ${GOVULNDB:+-db "$GOVULNDB"} ./... >"$out" 2>&1
code=$?
cat "$out"
if grep -q '^govulncheck: fetching vulnerabilities' "$out"; then
	echo "$0: the database of vulnerabilities did not answer: nothing was checked. Repeat this where it can be reached, or set GOVULNDB" >&2
	exit 4
fi
# "go run" returns 1 for any failure; govulncheck itself exits with 3 when it finds something.
if [ "$code" -ne 0 ] && grep -q '^exit status 3' "$out"; then code=3; fi
exit "$code"
