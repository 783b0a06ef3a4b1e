#!/bin/sh
# Makes runtime/study/webpage/plot: what the HTML pages use of Observable Plot, in one minified file, with the licences of the
# packages in it. package-lock.json has the checksum of every package that is fetched. The files are committed: building the program
# needs neither this script nor a network.
#
#	scripts/pagelibrary/build.sh           makes the files again
#	scripts/pagelibrary/build.sh --check   exits with 1 when the committed files are not what this script makes
set -eu
cd "$(dirname "$0")/../.."
work=.cache/pagelibrary
out=runtime/study/webpage/plot
mkdir -p "$work"
cp scripts/pagelibrary/package.json scripts/pagelibrary/package-lock.json "$work/"
npm ci --silent --no-audit --ignore-scripts --prefix "$work"
case ${1:-} in
--check)
	node scripts/pagelibrary/build.mjs "$work/node_modules" "$work/plot"
	diff -r "$work/plot" "$out"
	;;
"") node scripts/pagelibrary/build.mjs "$work/node_modules" "$out" ;;
*)
	echo "scripts/pagelibrary/build.sh: want --check or nothing, got $1" >&2
	exit 2
	;;
esac
