#!/bin/sh
# Puts a program, its manual page and completions into a prefix.
#
#   scripts/dist/install.sh PROGRAM PREFIX
set -eu
program=$1 prefix=$2
mkdir -p "$prefix/bin" "$prefix/share/man/man1" "$prefix/share/bash-completion/completions" "$prefix/share/zsh/site-functions" "$prefix/share/fish/vendor_completions.d"
cp "$program" "$prefix/bin/.onnx-inject.new"
mv "$prefix/bin/.onnx-inject.new" "$prefix/bin/onnx-inject" # by renaming, because the old one may be running
"$program" man >"$prefix/share/man/man1/onnx-inject.1"
"$program" completion bash >"$prefix/share/bash-completion/completions/onnx-inject"
"$program" completion zsh >"$prefix/share/zsh/site-functions/_onnx-inject"
"$program" completion fish >"$prefix/share/fish/vendor_completions.d/onnx-inject.fish"
echo "$prefix/bin/onnx-inject"
case ":$PATH:" in *":$prefix/bin:"*) ;; *) echo "$0: add $prefix/bin to the PATH" >&2 ;; esac
