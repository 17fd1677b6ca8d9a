"""Make everything below `assets/` from a clean checkout: render, train, export, measure, draw.

    python assets/pocket/recipe/make.py --build ../pocket-build

Needs Node 20 with npm, pip and the network for two small downloads; every stage goes on where it was stopped.
"""

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drawings import HERE, style_names, styles_with_glasses
from run_state import one_beginning

VOCABULARY = "open_clip/bpe_simple_vocab_16e6.txt.gz"
WHEEL = "open_clip_torch==3.3.0"
COUNTS = {"train": 2200, "test": 200}
# Minutes of each stage.
FROM_NOTHING = {"train_vae": 60, "train_decoder": 65, "train_captioner": 90, "train_base": 200, "judges": 6}
FROM_SHIPPED = {"train_decoder": 65, "train_captioner": 40, "train_base": 55, "judges": 6}
# glibc gives every large tensor back to the system and asks for it again: a training step then takes ten times as long.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_ARENA_MAX": "2",
    "OMP_WAIT_POLICY": "PASSIVE",
}


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run one command to its end, or stop here."""
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], cwd=cwd, env=os.environ | KEEP_MEMORY, check=True)


def renderings() -> list[tuple[str, str, int, int]]:
    """Return style, split, count and size of every set of drawings."""
    sets = [(style, split, count, 128) for split, count in COUNTS.items() for style in style_names("train")]
    sets += [(style, "twin", COUNTS["train"], 128) for style in styles_with_glasses()]
    sets += [("dylan", "train", 600, 128), ("lorelei", "test", 300, 128), ("lorelei", "judge", 2200, 128)]
    return [*sets, ("lorelei", "demo", 40, 512)]


def render(build: Path) -> None:
    """Render all drawings, two styles at a time."""
    node, data = build / "node", build / "data"
    node.mkdir(parents=True, exist_ok=True)
    data.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json", "render.mjs", "styles.json"):
        shutil.copy(HERE / name, node / name)
    run("npm", "ci", cwd=node)

    def one(job: tuple[str, str, int, int]) -> None:
        style, split, count, size = job
        run("node", "render.mjs", style, split, str(count), str(size), data / f"{split}-{style}", cwd=node)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, renderings()))


def fetch_vocabulary(build: Path) -> Path:
    """Return CLIP's vocabulary, taken out of the open_clip wheel."""
    folder = build / "clip"
    if not (folder / VOCABULARY).exists():
        run(sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, WHEEL)
        with zipfile.ZipFile(next(folder.glob("open_clip_torch-*.whl"))) as wheel:
            wheel.extract(VOCABULARY, folder)
    return folder / VOCABULARY


def main() -> None:
    """Read the command line and go through the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="a folder outside the repository, about 3 GB")
    parser.add_argument("--from-shipped", action="store_true", help="go on from the weights that are shipped")
    parser.add_argument("--speed", type=float, default=1.0, help="training minutes are divided by this")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    one_beginning(build, arguments.from_shipped)
    render(build)
    vocabulary = fetch_vocabulary(build)
    run(sys.executable, HERE / "make_demo.py", "--build", build, "--out", HERE.parent.parent / "demo")
    if arguments.from_shipped:
        run(sys.executable, HERE / "from_shipped.py", "--build", build)
    for stage, budget in (FROM_SHIPPED if arguments.from_shipped else FROM_NOTHING).items():
        if stage == "train_base":
            run(sys.executable, HERE / "latents.py", "--build", build)
        options = ["--vocabulary", vocabulary] if stage == "train_base" else []
        limit = str(budget / arguments.speed)
        run(sys.executable, HERE / f"{stage}.py", "--build", build, "--minutes", limit, *options)
    run(sys.executable, HERE / "export.py", "--build", build, "--vocabulary", vocabulary)
    for last in ("measure", "contact_sheet"):
        run(sys.executable, HERE / f"{last}.py", "--build", build)


if __name__ == "__main__":
    main()
