#!/bin/sh
# Builds the program for this machine as it would be given to others: bin/release holds the program, its bill of materials, the
# licences of its modules, and SHA-256 sums. The same commit, Go release and C compiler give the same bytes in any folder
# (TestS05ReproducibleBuild). The files are not signed: whoever publishes them signs SHA256SUMS.
#
#   scripts/supply/release.sh
set -eu
cd "$(dirname "$0")/../.."
out=bin/release
rm -rf "$out"
mkdir -p "$out"
GOFLAGS='' go build -trimpath -buildvcs=false -o "$out/onnx-inject" ./cmd/onnx-inject
go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -std -noserial -output "$out/onnx-inject.cdx.json" "$out/onnx-inject"
go run ./scripts/supply >"$out/licences.txt"
cp LICENSE "$out"
cd "$out"
sha256sum -- * >SHA256SUMS
cat SHA256SUMS
