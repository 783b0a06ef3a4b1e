#!/usr/bin/env python3
"""Runs the programs of README.md and its pages as they are printed there, in the hosts that they are for.

    readme.py BINARY [PART …]      parts: python ports capture node browser rust java optimum; default: all except optimum, which needs 8 GB
    readme.py --print PART         prints the program of a part; package is the one for the Python package, which make dist-test runs

Each program runs in a folder in which the commands that its page shows have run. A host must print the tokens that "onnx-inject run" shows for
the same prompt, without and with the memory; optimum must continue the text as "onnx-inject generate" does.

BROWSER   packages of scripts/browser, with playwright-core (default: .cache/browser)
PACKAGES  the folder in which npm installed onnxruntime-node and onnxruntime-web, with the Java package (default: .cache/hosts)
CHROMIUM  the browser (default: the one on the PATH)
"""

import argparse
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "models/demo"
PROMPT, MEMORY = "People in the land of Machu Picchu speak", ["--memory", " Peru", "--layer", "0"]
CRATE = '[package]\nname = "steer"\nedition = "2021"\n[dependencies]\nort = { version = "=2.0.0-rc.10", %s }\n'

BLOCKS = {
    "python": "README.md#python-with-onnxruntime python",
    "optimum": "README.md#optimum python",
    "node": "README.md#node js",
    "browser": "README.md#a-browser-page html",
    "rust": "README.md#rust rust",
    "java": "README.md#java java",
    "package": "README.md#the-python-package python",
    "ports": "cmd/onnx-inject/docs/ports.md#the-contract-of-a-patched-model python",
    "capture": "cmd/onnx-inject/docs/interventions.md#activations-of-many-prompts python",
}


def section(name):
    """The text under the heading of a block, and the block."""
    page, anchor, language = re.fullmatch(r"(.*)#(\S+) (\S+)", BLOCKS[name]).groups()
    for part in re.split(r"^#+ ", (ROOT / page).read_text(), flags=re.M):
        if re.sub(r"[^\w-]", "", part.split("\n")[0].lower().replace(" ", "-")) == anchor:
            return part, re.search(rf"^```{language}\n(.*?)^```$", part, flags=re.M | re.S)[1]
    sys.exit(f"{page}: no heading {anchor}")


def sh(command, folder, **env):
    if isinstance(command, list) and not shutil.which(command[0]):
        sys.exit(f"readme.py: no program {command[0]}: install it, or name other parts")
    done = subprocess.run(command, cwd=folder, shell=isinstance(command, str), text=True, capture_output=True, env=os.environ | env)
    if done.returncode:
        sys.exit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def venv(name):
    return sh([ROOT / "scripts/venv.sh", name], ROOT).strip()


def npm(folder, *names):
    """Installs packages in a folder, once, and returns where they are."""
    if not all((folder / "node_modules" / name.rsplit("@", 1)[0]).exists() for name in names):
        folder.mkdir(parents=True, exist_ok=True)
        sh(["npm", "install", "--silent", "--no-save", "--no-package-lock", "--prefix", folder, *names], ROOT, ONNXRUNTIME_NODE_INSTALL="skip")
    return (folder / "node_modules").resolve()


class Folder:
    """A folder in which the commands of the README have run."""

    def __init__(self, binary, path):
        self.path, self.program = path, str(binary)
        (path / "bin").mkdir()
        (path / "bin/onnx-inject").symlink_to(binary)
        os.environ["PATH"] = f"{path / 'bin'}:{os.environ['PATH']}"
        shutil.copytree(DEMO, path / "onnx-inject-demo", ignore=shutil.ignore_patterns("*.go", "*.png"))
        for page in ["README.md", "cmd/onnx-inject/docs/commands.md", "cmd/onnx-inject/docs/interventions.md"]:
            for command in re.findall(r"^\$ (onnx-inject (?:encode|rewrite|capture) .*)$", (ROOT / page).read_text(), flags=re.M):
                sh(command, path)
        run = json.loads(sh([self.program, "run", "onnx-inject-demo", "--prompt", PROMPT, *MEMORY, "--json", "--top", "1"], path))
        self.tokens = f"0 {run['clean'][0]['id']}\n1 {run['injected'][0]['id']}\n"

    def python(self, name, python):
        (self.path / f"program_{name}.py").write_text(section(name)[1])
        return sh([python, f"program_{name}.py"], self.path)

    def packages(self):
        link = self.path / "node_modules"
        if not link.exists():
            link.symlink_to(npm(Path(os.environ.get("PACKAGES", ROOT / ".cache/hosts")), "onnxruntime-node@1.30.0", "onnxruntime-web@1.30.0"))

    def node(self):
        self.packages()
        (self.path / "steer.mjs").write_text(section("node")[1])
        return sh(["node", "steer.mjs"], self.path)

    def browser(self):
        self.packages()
        (self.path / "index.html").write_text(section("browser")[1])
        npm(Path(os.environ.get("BROWSER", ROOT / ".cache/browser")), "playwright-core@1.65.1")
        chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
        if not chromium:
            sys.exit("readme.py: no browser found: install chromium, or set CHROMIUM")
        quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *a: None})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=self.path)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            out = sh(["node", ROOT / "scripts/hosts/readme.mjs", f"http://127.0.0.1:{server.server_port}/"], ROOT, CHROMIUM=chromium)
            server.shutdown()
        return out

    def rust(self):
        text, program = section("rust")
        (self.path / "src").mkdir(exist_ok=True)
        (self.path / "src/main.rs").write_text(program)
        (self.path / "Cargo.toml").write_text(CRATE % re.search(r"`(default-features.*?)`", text)[1])
        library = sh([self.program, "ort", "which"], self.path).strip()
        return sh(["cargo", "run", "--quiet", "--target-dir", ROOT / ".cache/hosts/rust"], self.path, ORT_DYLIB_PATH=library)

    def java(self):
        (self.path / "Steer.java").write_text(section("java")[1])
        jar = sh([ROOT / "scripts/hosts/jar.sh"], ROOT).strip()
        return sh(["java", f"-Djava.io.tmpdir={self.path}", "-cp", jar, "Steer.java"], self.path)


def check(name, folder):
    """Returns what a part printed, and what it must print."""
    match name:
        case "python":
            return folder.python(name, venv("conformance")), folder.tokens
        case "ports":
            return folder.python(name, venv("conformance")), "(1, 4, 4, 128)"
        case "capture":
            return folder.python(name, venv("capture")), "(35, 128)"
        case "node" | "browser" | "rust" | "java":
            return getattr(folder, name)(), folder.tokens
        case "optimum":
            want = sh([folder.program, "generate", "onnx-inject-demo", "--prompt", PROMPT, *MEMORY, "--max-tokens", "8", "--only", "injected"], folder.path)
            return folder.python(name, venv("realmodel")), f"<|endoftext|>{PROMPT}{want}"
    sys.exit(f"no part {name}")


def main():
    parser = argparse.ArgumentParser(description="The programs of README.md in their hosts.")
    parser.add_argument("--print", metavar="PART", choices=BLOCKS)
    parser.add_argument("binary", type=Path, nargs="?", default=ROOT / "bin/onnx-inject")
    parser.add_argument("parts", nargs="*")
    args = parser.parse_args()
    if args.print:
        print(section(args.print)[1], end="")
        return
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(args.binary.resolve(), Path(scratch))
        for name in args.parts or ["python", "ports", "capture", "node", "browser", "rust", "java"]:
            got, want = check(name, folder)
            good = got.strip() == want.strip()
            failed |= not good
            print(f"{'ok' if good else 'FAILED':<12}{BLOCKS[name]}: {got.strip()!r}" + ("" if good else f", want {want.strip()!r}"), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
