"""Writes `requirements.lock` beside this file: the versions that are installed here, with the hashes of their wheels.

    python assets/docs/lock.py

Run it in an environment in which the tests have passed. It asks the package index for hashes and installs nothing.
torch and what torch alone needs are left out: which one is right depends on the GPU.
"""

import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64")
LEFT_OUT = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
HEAD = """\
# Linux on x86-64, Python 3.11 and 3.12. Left out: torch and its CUDA packages (torch, triton, nvidia-*, cuda-*).
# First install torch as https://pytorch.org says for your GPU (these were tested with torch {torch}), then:
#   pip install --no-deps --require-hashes -r assets/docs/requirements.lock
# Written by assets/docs/lock.py.
"""


def canonical(name: str) -> str:
    """The package's name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(python: str) -> dict[str, str]:
    """The installed version of everything that requirements.txt needs under this Python, directly or not."""
    environment = {
        "python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython",
        "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix",
    }  # fmt: skip
    lines = (HERE.parent.parent / "requirements.txt").read_text(encoding="utf-8").splitlines()
    waiting = [(Requirement(line), "") for line in lines if line.strip()]
    done: set[tuple[str, str]] = set()
    versions: dict[str, str] = {}
    while waiting:
        requirement, extra = waiting.pop()
        name = canonical(requirement.name)
        if LEFT_OUT.fullmatch(name):
            continue
        if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        versions[name] = version(name).split("+")[0]
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in done:
                done.add((name, wanted))
                waiting += [(Requirement(line), wanted) for line in requires(name) or []]
    return versions


def hashes(versions: dict[str, str], python: str) -> dict[str, str]:
    """The SHA-256 of the wheel that pip chooses for each package under this Python."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
        command += ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp"]
        command += [word for platform in PLATFORMS for word in ("--platform", platform)]
        command += ["--target", folder, "--report", str(report)]
        subprocess.run([*command, *(f"{name}=={number}" for name, number in versions.items())], check=True)
        installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        canonical(one["metadata"]["name"]): one["download_info"]["archive_info"]["hashes"]["sha256"]
        for one in installed
    }


def main() -> None:
    """Write the file."""
    versions: dict[str, str] = {}
    wheels: dict[str, set[str]] = {}
    for python in PYTHONS:
        needed = closure(python)
        versions |= needed
        for name, digest in hashes(needed, python).items():
            wheels.setdefault(name, set()).add(digest)
    text = HEAD.format(torch=version("torch").split("+")[0])
    for name in sorted(versions):
        digests = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(wheels[name]))
        text += f"{name}=={versions[name]}{digests}\n"
    (HERE / "requirements.lock").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
