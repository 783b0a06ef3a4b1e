#!/usr/bin/env bash
# Prints the statement coverage of the packages that hold what must not go wrong: reading, recognising, rewriting, results and whole
# files. A statement counts when any test of the repository runs it. Exits with 1 when one of the five is below 95 %.
#
#   scripts/cover.sh [PACKAGE …]     # the tests to run (default: all)
#
# bin/cover.txt lists what no test runs.
set -euo pipefail
cd "$(dirname "$0")/.."
least=95
module=$(go list -m)

# Generated code and helpers of tests do not count.
packages() { go list "$@" | grep -vE '/(graphtest|hubtest|onnxpb|internal/onnxpb)$'; }
join() { paste -sd, -; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{raw,merged}
all=$(packages ./graph/... ./models/... ./rewrite/... ./runtime/study/results)
[ $# -gt 0 ] || set -- ./...
go test -cover -covermode=set -coverpkg="$(join <<<"$all")" -timeout 2h "$@" -args -test.gocoverdir="$work/raw" >"$work/log" 2>&1 || {
	grep -v '^ok' "$work/log" >&2
	echo "$0: tests fail, so their coverage is not counted" >&2
	exit 1
}
go tool covdata merge -pcombine -i="$work/raw" -o="$work/merged"

share() { # the coverage of some packages together
	go tool covdata textfmt -i="$work/merged" -o="$work/profile" -pkg="$(join)"
	go tool cover -func="$work/profile" | sed -n 's/^total:.*[[:space:]]\([0-9.]*\)%$/\1/p'
}

mkdir -p bin
: >bin/cover.txt
failed=0
for group in ./graph/... ./models/... ./rewrite/... ./runtime/study/results ./graph/base/atomicfile; do
	list=$(packages "$group")
	percent=$(share <<<"$list")
	verdict=ok
	if awk "BEGIN { exit !($percent < $least) }"; then verdict="want at least $least %" failed=1; fi
	printf '%-28s %6s %%  %s\n' "$group" "$percent" "$verdict"
	[ "$(wc -l <<<"$list")" -eq 1 ] || for package in $list; do
		part=$(share <<<"$package")
		[ -z "$part" ] || printf '  %-26s %6s %%\n' ".${package#"$module"}" "$part"
	done
	share <<<"$list" >/dev/null
	sed -n 's/ 0$//p' "$work/profile" >>bin/cover.txt
done
sort -u -o bin/cover.txt bin/cover.txt
exit $failed
