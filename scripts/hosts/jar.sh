#!/bin/sh
# Prints the path of ONNX Runtime's package for Java, which contains the library. Downloads it with Maven on first use.
#
# PACKAGES  the folder for it (default: .cache/hosts)
set -eu
cd "$(dirname "$0")/../.."
packages=${PACKAGES:-.cache/hosts} version=1.29.0
jar=onnxruntime-$version.jar
if [ ! -e "$packages/$jar" ]; then
	mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
		-Dartifact="com.microsoft.onnxruntime:onnxruntime:$version" -DoutputDirectory="$packages/new" >&2
	mv "$packages/new/$jar" "$packages/$jar" # last, so that an interrupted copy is made again
fi
realpath "$packages/$jar"
