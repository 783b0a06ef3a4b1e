#!/usr/bin/env bash
# Installs the files of dist/ as users do, without Go and a C compiler on the PATH, and tests them. Nothing but the package clients
# (pip, npm) reaches the network. Exits with the first failure.
#
#   scripts/dist/test.sh
#
# PYTHON  the Python that makes the virtual environments (default: python3)
#
# The executed notebook and its pictures are in .cache/dist-test/notebook.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD work=$PWD/.cache/dist-test base=$(command -v "${PYTHON:-python3}")
rm -rf "$work"
mkdir -p "$work/notebook" "$work/home"
export PIP_DISABLE_PIP_VERSION_CHECK=1

passed=0
started=$SECONDS
ok() {
	passed=$((passed + 1))
	printf 'ok  %-66s %4d s\n' "$1" $((SECONDS - started))
	started=$SECONDS
}
fail() {
	echo "$0: $1" >&2
	exit 1
}
expect() { # expect FILE PATTERN: a line of the file matches
	grep -qE -- "$2" "$1" || fail "want a line that matches $2, got: $(cat "$1")"
}

(cd dist && sha256sum --check --quiet SHA256SUMS)
ok "SHA256SUMS"

# An environment with nothing but the virtual environment on the PATH.
"$base" -m venv "$work/venv"
bare() { (cd "$work" && env -i HOME="$work/home" PATH="$work/venv/bin" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR="$(python3 -m pip cache dir)" "$@"); }
for tool in go cc gcc clang; do
	if bare /bin/sh -c "command -v $tool"; then fail "$tool is on the PATH"; fi
done
bare pip install --quiet "$root"/dist/*.whl
ok "pip install dist/*.whl"

bare onnx-inject demo >"$work/demo.txt" 2>"$work/demo.err" || fail "onnx-inject demo: $(cat "$work/demo.err")"
expect "$work/demo.txt" '^   The best cell is layer 0, tau 1: 0\.2362, ×5\.37; 208 of 216 prompts gain\.$'
expect "$work/demo.txt" '^  onnx-inject inspect onnx-inject-demo$' # the command as it was called
[ "$(bare onnx-inject ort which)" = "$(bare python -c 'import glob, onnxruntime; print(*glob.glob(onnxruntime.__path__[0] + "/capi/libonnxruntime.[sd]*"))')" ] ||
	fail "want the library of the onnxruntime package, got $(bare onnx-inject ort which)"
ok "onnx-inject demo with the library of the onnxruntime package"

# The wheel needs no more than what its tag promises.
symbols=$(bare python - <<'EOF'
import glob, re
data = open(glob.glob("venv/lib/python*/site-packages/onnx_inject/bin/onnx-inject")[0], "rb").read()
print(max((tuple(map(int, v.split(b"."))) for v in re.findall(rb"GLIBC_(\d+\.\d+)", data)), default=()))
for folder in [b"/ziglang/", b"/go/pkg/mod/"]:
    assert folder not in data, f"the program names the folder {folder}"
EOF
)
case $symbols in "(2, "?")" | "(2, 1"[0-7]")" | "()") ;; *) fail "want glibc 2.17 or older, got $symbols" ;; esac
ok "the program needs glibc $symbols and names no folder"

bare pip install --quiet -r "$root/scripts/python/requirements.txt"
bare mypy --config-file "$root/scripts/python/pyproject.toml" --cache-dir "$work/mypy" -p onnx_inject "--python-executable=$work/venv/bin/python"
ok "types of the Python package (mypy --strict)"
(cd "$work" && env -i HOME="$work/home" PATH="$work/venv/bin" DEMO="$work/onnx-inject-demo" NOTEBOOK_OUT="$work/notebook" \
	python -m pytest -q -p no:cacheprovider --durations=3 --rootdir "$root/scripts/python" "$root/scripts/python/tests")
ok "tests of the Python API, and the notebook"
"$base" scripts/hosts/readme.py --print package >"$work/package.py"
bare python package.py >"$work/package.txt"
expect "$work/package.txt" '^\(1, 9, 4, 128\) 678$'
ok "the program for the Python package in README.md"

# An onnxruntime that is too old is refused with advice.
"$base" -m venv "$work/old"
"$work/old/bin/pip" install --quiet --no-deps "$root"/dist/*.whl onnxruntime==1.23.2
code=0
(cd "$work" && "$work/old/bin/onnx-inject" run onnx-inject-demo --prompt x) 2>"$work/old.txt" || code=$?
[ $code = 3 ] || fail "want exit code 3 with onnxruntime 1.23.2, got $code"
expect "$work/old.txt" 'this library is too old, need >= 1\.24, got 1\.23\.2$'
expect "$work/old.txt" '^onnx-inject: hint: upgrade that package: `pip install --upgrade onnxruntime`'
"$work/old/bin/onnx-inject" inspect "$work/onnx-inject-demo" >/dev/null
ok "onnxruntime 1.23.2 is refused, inspect works"

# The wheels for other systems: the tags are accepted for these systems, and the programs are theirs.
for wheel in dist/other/*.whl; do
	tag=${wheel##*-}
	tag=${tag%.whl}
	"$work/venv/bin/pip" install --quiet --no-deps --only-binary :all: --platform "${tag%%.*}" --target "$work/other/$tag" "$wheel"
	case $tag in
	*aarch64) magic='7f454c46 b700' ;;
	win*) magic='4d5a' ;;
	*x86_64) magic='7f454c46 3e00' ;;
	macosx*) magic='cffaedfe' ;;
	*) fail "unknown tag $tag" ;;
	esac
	"$work/venv/bin/python" - "$work/other/$tag"/onnx_inject/bin/* "$magic" <<'EOF'
import sys
head = open(sys.argv[1], "rb").read(20)
first, _, machine = sys.argv[2].partition(" ")
assert head.hex().startswith(first) and head[18:20].hex() == (machine or head[18:20].hex()), head.hex()
EOF
	ok "$wheel"
done

# The archive for this machine.
for archive in dist/*-"$(go env GOOS)-$(go env GOARCH)".tar.gz; do
	mkdir "$work/archive"
	tar xzf "$archive" -C "$work/archive" --strip-components 1
	(cd "$work/archive" && sha256sum --check --quiet SHA256SUMS && ./onnx-inject version && ./onnx-inject inspect "$work/onnx-inject-demo" >/dev/null)
	bash -n "$work/archive/completions/onnx-inject.bash"
	expect "$work/archive/onnx-inject.1" '^\.TH "?ONNX-INJECT'
	expect "$work/archive/licences.txt" '^==== github.com/yalue/onnxruntime_go '
	expect "$work/archive/onnx-inject.cdx.json" '"bomFormat": "CycloneDX"'
	expect "$work/archive/onnx-inject.cdx.json" '"pkg:npm/%40observablehq/plot@'
	ok "$archive"
done

# Every relative link of the pages in an archive leads to a file of the archive, and every #anchor to a heading of its page.
for archive in dist/*.tar.gz dist/*.zip; do
	"$base" - "$archive" "$work/links/$(basename "$archive")" <<'EOF'
import pathlib, re, shutil, sys
shutil.unpack_archive(sys.argv[1], sys.argv[2])
root, = pathlib.Path(sys.argv[2]).resolve().iterdir()
prose = lambda page: re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
anchors = lambda page: {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in re.findall(r"^#+ (.*)", prose(page), re.M)}
links = [(page, *m) for page in root.rglob("*.md") for m in re.findall(r"\]\(<?([^)#>\s]*)#?([^)>\s]*)", prose(page)) if ":" not in m[0]]
targets = [((page.parent / path).resolve() if path else page, anchor) for page, path, anchor in links]
broken = [link for link, (target, anchor) in zip(links, targets)
          if not target.is_relative_to(root) or not target.is_file() or anchor and anchor not in anchors(target)]
linked = {target.relative_to(root).as_posix() for target, _ in targets if target.is_relative_to(root)}
assert not broken, f"links without a target: {broken}"
assert linked >= {"ARCHITECTURE.md", "cmd/onnx-inject/docs/ports.md", "models/demo/heatmap.png"}, linked
EOF
	ok "links of the pages in $archive"
done

# npx from the local file. The PATH has node and what npm needs, and neither Go nor a compiler.
mkdir "$work/node"
for tool in node npm npx sh env; do ln -s "$(command -v $tool)" "$work/node/$tool"; done
npx() { (cd "$work" && env -i HOME="$work/home" PATH="$work/node" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" npm_config_cache="$(npm config get cache)" npx --yes --package "file:$(echo "$root"/dist/onnx-inject-*.tgz)" onnx-inject "$@"); }
npx ort install >/dev/null 2>"$work/npx.err" || fail "npx onnx-inject ort install: $(cat "$work/npx.err")"
rm -rf "$work/onnx-inject-demo" # the results of another library are not continued
npx demo >"$work/npx.txt" 2>"$work/npx.err" || fail "npx onnx-inject demo: $(cat "$work/npx.err")"
expect "$work/npx.txt" '^   The best cell is layer 0, tau 1: 0\.2362'
expect "$work/npx.txt" '^  npx onnx-inject inspect onnx-inject-demo$'
code=0
npx inspect none 2>/dev/null || code=$?
[ $code = 3 ] || fail "want exit code 3 from npx, got $code"
ok "npx onnx-inject demo"

# make install.
make --silent install PREFIX="$work/prefix" >"$work/install.txt" 2>/dev/null
PATH=$work/prefix/bin:$PATH onnx-inject version >/dev/null
for f in bin/onnx-inject share/man/man1/onnx-inject.1 share/bash-completion/completions/onnx-inject; do [ -s "$work/prefix/$f" ] || fail "make install: no $f"; done
ok "make install"

echo "$passed passed, 0 failed"
