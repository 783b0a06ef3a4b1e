#!/bin/sh
# Opens pages in a real browser: reports of evaluations of the built-in model, by tau, by head and with side effects, and of the paper's published files;
# lens for two prompts, for one long prompt, for one that would be a script and for a file of pairs; probe. Points, clicks and types as a reader would, runs the checks
# that check.mjs lists and writes screenshots to .cache/browser. Exits with 1 when a check fails.
#
# CHROMIUM     the browser (default: the first of chromium, chromium-browser, google-chrome on the PATH)
# ONNX_INJECT  the binary (default: bin/onnx-inject, built first)
# PUBLISHED    the folder of the published files (default: those of the tests)
set -eu
cd "$(dirname "$0")/../.."
work=.cache/browser
mkdir -p "$work"

for name in chromium chromium-browser google-chrome; do
	CHROMIUM=${CHROMIUM:-$(command -v "$name" || true)}
done
if [ -z "$CHROMIUM" ]; then
	echo "scripts/browser: no browser found: install chromium (Debian: apt-get install chromium), or set CHROMIUM" >&2
	exit 1
fi
export CHROMIUM

driver=playwright-core@1.65.1
if [ "$(cat "$work/driver" 2>/dev/null || true)" != "$driver" ]; then
	npm install --silent --no-save --no-package-lock --prefix "$work" "$driver"
	echo "$driver" > "$work/driver"
fi

binary=${ONNX_INJECT:-}
if [ -z "$binary" ]; then
	binary=bin/onnx-inject
	go build -o "$binary" ./cmd/onnx-inject
fi

rm -rf "$work/world" "$work/results" "$work/heads" "$work/entity" "$work"/*.html "$work"/*-pictures "$work"/*.png "$work"/*.pdf
"$binary" demo -o "$work/world" >/dev/null
"$binary" eval "$work/world" --data "$work/world/prompts.csv" --taus 0.25,0.5,1,2,4 --memory curated --memory wrong --memory none \
	--memory "random:$work/world/words.txt" --top 5 -o "$work/results" >/dev/null
"$binary" report "$work/results" --by relation --png -o "$work/demo.html" >/dev/null
"$binary" eval "$work/world" --data "$work/world/prompts.csv" --op ablate --sites z --heads all --limit 40 -o "$work/heads" >/dev/null
"$binary" report "$work/heads" -o "$work/heads.html" >/dev/null
"$binary" eval "$work/world" --data "$work/world/prompts.csv" --memory entity --side-effects demo --layers 0-1 --limit 40 -o "$work/entity" >/dev/null
"$binary" report "$work/entity" -o "$work/entity.html" >/dev/null
"$binary" report --published "${PUBLISHED:-runtime/study/published/testdata/paper}" -o "$work/published.html" >/dev/null
"$binary" lens "$work/world" --prompt "People in Peru speak" --against "People in the land of Machu Picchu speak" --entity Peru --answer Spanish \
	--html "$work/lens.html" >/dev/null
"$binary" lens "$work/world" --prompt "$(head -n 25 "$work/world/words.txt" | tr '\n' ' ')" --html "$work/lens-long.html" >/dev/null
"$binary" lens "$work/world" --prompt "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>" --html "$work/lens-hostile.html" >/dev/null
"$binary" lens "$work/world" --data "$work/world/prompts.csv" --html "$work/lens-survey.html" >/dev/null
"$binary" probe "$work/world" --data "$work/world/prompts.csv" --html "$work/probe.html" >/dev/null

exec node scripts/browser/check.mjs "$work" "$work"/*.html
