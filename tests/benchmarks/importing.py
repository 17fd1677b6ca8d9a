"""Milliseconds that an import takes for each drawing, against reading, hashing, decoding and encoding alone.

    python -m tests.benchmarks.importing [--drawings 4500] [--side 256] [--rounds 1] [--captions]

The drawings are made of the demo's, each with colours of its own. "Work alone" is the same files read, hashed, decoded,
hashed by their pixels and encoded as WebP by the same processes, with nothing written. The import writes and syncs two
files a drawing, commits its row, and with --captions takes over a text file beside it. Both are timed in turn in the
same process, in a fresh project each.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ksh_studio.config import ProjectSettings
from ksh_studio.demo import DRAWINGS
from ksh_studio.drawings.decoding import Decoders
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.events import Imported
from ksh_studio.project.workspace import Workspace


def make_drawings(folder: Path, count: int, side: int, captions: bool) -> None:
    """Fill the folder with this many different PNGs."""
    demo = [
        Image.open(path).convert("RGBA").convert("RGB").resize((side, side)) for path in sorted(DRAWINGS.glob("*.png"))
    ]
    for number in range(count):
        shift = np.array([number // len(demo) * step % 256 for step in (7, 11, 13)], dtype=np.uint8)
        pixels = np.asarray(demo[number % len(demo)]) + shift
        Image.fromarray(pixels).save(folder / f"{number:05d}.png", compress_level=1)
        if captions:
            (folder / f"{number:05d}.txt").write_text(f"drawing number {number}", encoding="utf-8")


def work_alone(folder: Path, most: int | None = None) -> float:
    """Seconds to read, hash, decode and encode every drawing, or the first ones."""

    def read() -> Iterator[tuple[str, bytes | None]]:
        for path in sorted(folder.glob("*.png"))[:most]:
            data = path.read_bytes()
            yield hashlib.sha256(data).hexdigest(), data

    began = time.monotonic()
    with Decoders[str]() as decoders:
        for _ in decoders.convert(read()):
            pass
    return time.monotonic() - began


def whole_import(folder: Path, root: Path, count: int) -> float:
    """Seconds to import the folder into a new project."""
    workspace = Workspace(root)
    workspace.prepare()
    project = workspace.create_project(ProjectSettings(name="benchmark"))
    began = time.monotonic()
    added = [event.added for event in import_drawings(folder, project) if isinstance(event, Imported)]
    seconds = time.monotonic() - began
    assert added == [count], added
    return seconds


def main() -> None:
    """Time both in turn and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--drawings", type=int, default=4500)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--captions", action="store_true")
    options = parser.parse_args()
    alone, whole = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "drawings"
        folder.mkdir()
        make_drawings(folder, options.drawings, options.side, options.captions)
        work_alone(folder, 2 * Decoders[str]().processes)  # starts the server that forks them
        for number in range(options.rounds):
            alone.append(work_alone(folder))
            whole.append(whole_import(folder, Path(temporary) / f"workspace-{number}", options.drawings))
    print(f"{options.drawings} drawings of {options.side} px, {Decoders[str]().processes} processes\n")
    print("| | seconds | ms a drawing |\n|---|---|---|")
    for name, seconds in (("work alone", statistics.median(alone)), ("import", statistics.median(whole))):
        print(f"| {name} | {seconds:.1f} | {1000 * seconds / options.drawings:.2f} |")
    print(f"\nratio {statistics.median(whole) / statistics.median(alone):.2f}")


if __name__ == "__main__":
    main()
