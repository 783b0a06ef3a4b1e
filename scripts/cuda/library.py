#!/usr/bin/env python3
"""Joins the parts of a wheel, compares its libraries with the sums that the program pins, and unpacks it.

    library.py cuda|cpu FOLDER PART…
    library.py --folders     prints the folders with CUDA libraries, in the form of LD_LIBRARY_PATH
"""

import glob
import hashlib
import json
import platform
import shutil
import site
import sys
import zipfile
from pathlib import Path

MANIFEST = Path(__file__).resolve().parents[2] / "runtime/ort/lib/manifest.json"


def build(flavor):
    """Returns the pinned build of a flavor that comes as a wheel."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    for b in json.loads(MANIFEST.read_text())["builds"]:
        if (b["platform"], b["flavor"], b["client"]) == (f"linux/{machine}", flavor, "pip"):
            return b
    sys.exit(f"no library of flavor {flavor} is pinned for linux/{machine}")


def unpack(flavor, folder, parts):
    folder.mkdir(parents=True)
    wheel = folder / "joined.whl"
    with wheel.open("wb") as out:
        for part in parts:
            with open(part, "rb") as f:
                shutil.copyfileobj(f, out)
    print(f"{len(parts)} parts, {wheel.stat().st_size} bytes")
    try:
        archive = zipfile.ZipFile(wheel)
    except zipfile.BadZipFile:
        sys.exit("the joined parts are not a wheel: want all parts, in their order")
    for pinned in build(flavor)["files"]:
        try:
            with archive.open(pinned["member"]) as f:
                got = hashlib.file_digest(f, "sha256").hexdigest()
        except KeyError:
            sys.exit(f"the wheel has no {pinned['member']}: want {build(flavor)['package']}")
        except zipfile.BadZipFile as error:
            sys.exit(f"{pinned['member']}: {error}")
        if got != pinned["sha256"]:
            sys.exit(f"{pinned['member']}: want sha256 {pinned['sha256']}, got {got}")
        print(f"{got}  {pinned['member']}")
    archive.extractall(folder)
    wheel.unlink()
    sys.path.insert(0, str(folder))
    try:
        import onnxruntime
    except ImportError as error:
        sys.exit(f"Python {platform.python_version()} cannot import the wheel ({error}): want the wheel for this version, and numpy")
    print(f"onnxruntime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}")


def folders():
    patterns = ["/usr/local/cuda*/lib64", "/usr/local/nvidia/lib64"]
    for packages in [*site.getsitepackages(), *(p for p in sys.path if p.endswith("-packages"))]:
        patterns += [f"{packages}/nvidia/*/lib", f"{packages}/nvidia/cu13/lib"]
    found = dict.fromkeys(f for p in patterns for f in sorted(glob.glob(p)))
    return ":".join(found)


if sys.argv[1:] == ["--folders"]:
    print(folders())
elif len(sys.argv) > 3 and sys.argv[1] in ("cuda", "cpu"):
    unpack(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
else:
    sys.exit(__doc__)
