#!/usr/bin/env python3
"""Builds what is given to others, in dist/: archives, Python wheels and an npm package, with licences, bills of materials and SHA-256 sums.

    $(scripts/venv.sh dist) scripts/dist/dist.py [TARGET…]

On Linux the targets are linux-amd64, linux-arm64 and windows-amd64, with the C compiler of the package ziglang. A Mac builds
darwin-arm64 with its own compiler, because only Macs have Apple's frameworks. dist/*.whl is the wheel for this machine, dist/other has
those for other machines, so that "pip install dist/*.whl" works. The npm package contains the programs of this version in bin/dist.

The version is the tag of the commit (v1.2.3), or VERSION, or 0.0.0.dev and the number of commits. The same commit, Go release and
ziglang give the same bytes in any folder. Nothing is signed or published.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT, WORK, PYTHON, NPM = ROOT / "dist", ROOT / "bin/dist", ROOT / "scripts/python", ROOT / "scripts/dist/npm"
SBOM = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
COMPLETIONS = {"bash": "onnx-inject.bash", "zsh": "_onnx-inject", "fish": "onnx-inject.fish", "powershell": "onnx-inject.ps1"}


@dataclass(frozen=True)
class Target:
    """A system that the program is built for."""

    name: str  # GOOS-GOARCH
    zig: str  # the target of the C compiler; "" for the system's own compiler
    wheel: str  # the platform tag of the wheel
    node: str  # process.platform-process.arch

    @property
    def binary(self) -> Path:
        return WORK / self.name / ("onnx-inject.exe" if self.name.startswith("windows") else "onnx-inject")

    @property
    def sbom(self) -> Path:
        return WORK / self.name / "onnx-inject.cdx.json"


# glibc 2.17 is what manylinux2014 means; Go itself needs macOS 12.
TARGETS = [
    Target("linux-amd64", "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64.manylinux2014_x86_64", "linux-x64"),
    Target("linux-arm64", "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64.manylinux2014_aarch64", "linux-arm64"),
    Target("windows-amd64", "x86_64-windows-gnu", "win_amd64", "win32-x64"),
    Target("darwin-arm64", "", "macosx_12_0_arm64", "darwin-arm64"),
]


def run(*line: str | Path, **env: str) -> bytes:
    """Runs a command in the repository; its messages go to the terminal."""
    return subprocess.run([str(a) for a in line], cwd=ROOT, env=os.environ | {"GOFLAGS": ""} | env, stdout=subprocess.PIPE, check=True).stdout


def version_of() -> str:
    """Returns the version in the form of Python packages."""
    if stated := os.environ.get("VERSION"):
        return stated.removeprefix("v")
    tags = re.findall(r"^v(\d+\.\d+\.\d+\S*)$", run("git", "tag", "--points-at", "HEAD").decode(), re.M)
    return tags[-1] if tags else f"0.0.0.dev{run('git', 'rev-list', '--count', 'HEAD').decode().strip()}"


def build(t: Target, version: str, when: int) -> None:
    """Builds the program without symbols and without names of folders, and its bill of materials."""
    goos, goarch = t.name.split("-")
    env = {"GOOS": goos, "GOARCH": goarch, "CGO_ENABLED": "1"}
    link = f"-s -w -buildid= -X main.release={version}"
    if t.zig:
        env["CC"] = f"'{sys.executable}' -m ziglang cc -target {t.zig}"
        if goos == "linux":
            link += " -extldflags=-s"  # the linker's own files would name its folder
    else:
        env["MACOSX_DEPLOYMENT_TARGET"] = "12.0"
    t.binary.parent.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", link, "-o", t.binary, "./cmd/onnx-inject", **env)
    run("go", "run", SBOM, "bin", "-json", "-std", "-noserial", "-version", f"v{version}", "-output", t.sbom, t.binary)
    run("go", "run", "./scripts/supply", "-bom", t.sbom)
    bom = json.loads(t.sbom.read_bytes())
    bom["metadata"]["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    t.sbom.write_text(json.dumps(bom, indent=2, ensure_ascii=False) + "\n")


class Files:
    """The files of a package by name, with what they contain. A program can be executed."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.programs: set[str] = set()

    def add(self, name: str, content: bytes | str | Path, program: bool = False) -> None:
        if isinstance(content, Path):
            content = content.read_bytes()
        self.content[name] = content.encode() if isinstance(content, str) else content
        if program:
            self.programs.add(name)

    def mode(self, name: str) -> int:
        return 0o755 if name in self.programs else 0o644

    def tgz(self, path: Path, when: int) -> None:
        with open(path, "wb") as f, gzip.GzipFile("", "wb", 9, f, when) as z, tarfile.open(fileobj=z, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in self.content.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(content), self.mode(name), when
                tar.addfile(info, io.BytesIO(content))

    def zip(self, path: Path, when: int) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
            for name, content in self.content.items():
                info = zipfile.ZipInfo(name, time.gmtime(when)[:6])
                info.create_system, info.compress_type = 3, zipfile.ZIP_DEFLATED  # 3: the modes are those of Unix
                info.external_attr = (stat.S_IFREG | self.mode(name)) << 16
                z.writestr(info, content)


def pages(name: str, found: dict[str, bytes]) -> dict[str, bytes]:
    """Adds a page of the repository, and what it and the pages among that refer to by relative links: other pages, pictures, a notebook."""
    found[name] = (ROOT / name).read_bytes()
    if name.endswith(".md"):
        prose = re.sub(r"^```.*?^```$", "", found[name].decode(), flags=re.M | re.S)
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
            target = os.path.normpath(os.path.join(os.path.dirname(name), link))
            if target not in found:
                pages(target, found)
    return found


def archive(t: Target, version: str, when: int, shared: dict[str, bytes]) -> None:
    """Writes the program with its manual page, completions, licences, bill of materials, README and the pages that it refers to."""
    folder = f"onnx-inject-{version}-{t.name}"
    files = Files()
    files.add(f"{folder}/{t.binary.name}", t.binary, program=True)
    for name, content in shared.items():
        files.add(f"{folder}/{name}", content)
    files.add(f"{folder}/onnx-inject.cdx.json", t.sbom)
    sums = "".join(f"{hashlib.sha256(c).hexdigest()}  {n.removeprefix(folder + '/')}\n" for n, c in files.content.items())
    files.add(f"{folder}/SHA256SUMS", sums)
    if t.name.startswith("windows"):
        files.zip(OUT / f"{folder}.zip", when)
    else:
        files.tgz(OUT / f"{folder}.tar.gz", when)


def wheel(t: Target, version: str, when: int, shared: dict[str, bytes], here: bool) -> None:
    """Writes a wheel: the Python package with the program in it."""
    project = tomllib.loads((PYTHON / "pyproject.toml").read_text())["project"]
    info = f"onnx_inject-{version}.dist-info"
    files = Files()
    for path in sorted((PYTHON / "onnx_inject").iterdir()):
        if path.is_file():
            files.add(f"onnx_inject/{path.name}", path)
    files.add(f"onnx_inject/bin/{t.binary.name}", t.binary, program=True)
    meta = ["Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {version}", f"Summary: {project['description']}",
            f"Keywords: {','.join(project['keywords'])}", f"License-Expression: {project['license']}", "License-File: LICENSE",
            "License-File: licences.txt", f"Requires-Python: {project['requires-python']}"]
    meta += [f"Requires-Dist: {d}" for d in project["dependencies"]]
    for extra, needs in project["optional-dependencies"].items():
        meta += [f"Provides-Extra: {extra}"] + [f"Requires-Dist: {d}; extra == '{extra}'" for d in needs]
    meta += ["Description-Content-Type: text/markdown", "", (PYTHON / project["readme"]).read_text()]
    files.add(f"{info}/METADATA", "\n".join(meta))
    files.add(f"{info}/WHEEL", "\n".join(["Wheel-Version: 1.0", "Generator: onnx-inject", "Root-Is-Purelib: false", *(f"Tag: py3-none-{p}" for p in t.wheel.split(".")), ""]))
    files.add(f"{info}/entry_points.txt", "[console_scripts]\n" + "".join(f"{k} = {v}\n" for k, v in project["scripts"].items()))
    for name in ("LICENSE", "licences.txt"):
        files.add(f"{info}/licenses/{name}", shared[name])
    files.add(f"{info}/sboms/onnx-inject.cdx.json", t.sbom)
    record = [f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(c).digest()).rstrip(b'=').decode()},{len(c)}\n" for n, c in files.content.items()]
    files.add(f"{info}/RECORD", "".join(record) + f"{info}/RECORD,,\n")
    files.zip((OUT if here else OUT / "other") / f"onnx_inject-{version}-py3-none-{t.wheel}.whl", when)


def npm(version: str, when: int, shared: dict[str, bytes]) -> None:
    """Writes one npm package with the programs of all targets that were built for this version, here or on a Mac."""
    files = Files()
    package = json.loads((NPM / "package.json").read_text())
    package["version"] = re.sub(r"^(\d+\.\d+\.\d+)\.?(?=[a-z])", r"\1-", version)  # 0.0.0.dev7 is 0.0.0-dev7 in npm
    files.add("package/package.json", json.dumps(package, indent=2) + "\n")
    files.add("package/onnx-inject.js", NPM / "onnx-inject.js", program=True)
    files.add("package/README.md", NPM / "README.md")
    for name in ("LICENSE", "licences.txt"):
        files.add(f"package/{name}", shared[name])
    for t in TARGETS:
        if t.binary.exists() and json.loads(t.sbom.read_bytes())["metadata"]["component"]["version"] == f"v{version}":
            files.add(f"package/bin/{t.node}/{t.binary.name}", t.binary, program=True)
            files.add(f"package/bin/{t.node}/onnx-inject.cdx.json", t.sbom)
    files.tgz(OUT / f"onnx-inject-{package['version']}.tgz", when)


def main() -> None:
    mac, host = sys.platform == "darwin", {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    here = f"{'darwin' if mac else 'linux'}-{host}"
    names = sys.argv[1:] or [t.name for t in TARGETS if mac == (not t.zig)]
    if unknown := set(names) - {t.name for t in TARGETS}:
        sys.exit(f"dist: want targets among {', '.join(t.name for t in TARGETS)}, got {', '.join(sorted(unknown))}")
    if here not in names:
        sys.exit(f"dist: the targets must include {here}, the system of this machine, whose program writes the manual page")
    targets = [t for t in TARGETS if t.name in names]
    version, when = version_of(), int(run("git", "log", "-1", "--format=%ct"))
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "other").mkdir(parents=True)

    def step(what: str, work, *args) -> None:
        start = time.monotonic()
        work(*args)
        print(f"{what:32} {time.monotonic() - start:6.1f} s", flush=True)

    for t in targets:
        step(f"build {t.name}", build, t, version, when)
    program = next(t.binary for t in targets if t.name == here)
    shared = {"LICENSE": (ROOT / "LICENSE").read_bytes(), "licences.txt": run("go", "run", "./scripts/supply"), "onnx-inject.1": run(program, "man")}
    shared |= {f"completions/{name}": run(program, "completion", shell) for shell, name in COMPLETIONS.items()}
    shared |= pages("README.md", {})
    for t in targets:
        step(f"archive {t.name}", archive, t, version, when, shared)
        step(f"wheel {t.name}", wheel, t, version, when, shared, t.name == here)
    step("npm package", npm, version, when, shared)

    sums = [(hashlib.sha256(p.read_bytes()).hexdigest(), p) for p in sorted(OUT.rglob("*")) if p.is_file()]
    (OUT / "SHA256SUMS").write_text("".join(f"{s}  {p.relative_to(OUT)}\n" for s, p in sums))
    for t in targets:
        print(f"{t.binary.stat().st_size / 1e6:6.1f} MB  {t.binary.relative_to(ROOT)}")
    for _, p in sums:
        print(f"{p.stat().st_size / 1e6:6.1f} MB  {p.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
