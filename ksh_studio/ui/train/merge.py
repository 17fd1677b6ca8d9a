"""Several LoRA files of a training added up to one, in a process of its own: the page loads no torch."""

import subprocess
from typing import Any

from ksh_studio.disk import inside
from ksh_studio.errors import StudioError
from ksh_studio.jobs.spawn import spawn
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import note
from ksh_studio.ui.train.actions import lora_of, steps_of
from ksh_studio.ui.train.shown_job import wanted_job

LONGEST_SECONDS = 600.0
LONGEST_STEPS = 24
"""Characters of the file's name that list the steps; more of them are said in short."""


def merge_picked(visit: Visit, slug: str, chosen: str, picked: list[int] | None) -> str:
    """Average the LoRA files of the steps picked into one in the workspace's `loras`; returns what was said of it.

    Raises StudioError for fewer than two.
    """
    steps, job = steps_of(picked), wanted_job(visit, slug, chosen)
    if len(steps) < 2:
        raise StudioError("merge.too_few")
    root = visit.workspace.root
    files = [inside(root, lora_of(visit, slug, chosen, step)) for step in steps]
    which = "-".join(map(str, steps))
    if len(which) > LONGEST_STEPS:
        which = f"{steps[0]}-to-{steps[-1]}-x{len(steps)}"
    name = f"{job.project.slug[:20]}-{job.id.removesuffix('-train')}-{which}"
    parts = [f"{path}={1 / len(files):.6f}" for path in files]
    target = visit.workspace.loras / f"{name}.safetensors"
    done, said = _run(["lora", "merge", *parts, "--target", str(target), "--language", visit.language])
    return note(said, "good" if done else "bad")


def _run(arguments: list[str]) -> tuple[bool, str]:
    """Whether it was done, and the last line that was printed."""
    streams: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    child = spawn(arguments, stdin=subprocess.DEVNULL, **streams)
    try:
        out, error = child.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        out, error = child.communicate()
    lines = (out if child.returncode == 0 else error or out).decode(errors="replace").strip().splitlines()
    return child.returncode == 0, lines[-1] if lines else ""
