"""Several LoRA files of a training averaged into one, in a process of its own: the page loads no torch."""

import subprocess

from ksh_studio.errors import StudioError
from ksh_studio.jobs.spawn import spawn
from ksh_studio.paths import inside
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import note
from ksh_studio.ui.train.actions import lora_of, ticked_steps
from ksh_studio.ui.train.shown_job import shown_job

LONGEST_SECONDS = 600.0
LONGEST_STEPS = 24
"""Characters of the file's name that list the steps; more of them are shortened to the first and the last."""


def merge(visit: Visit, slug: str, job_id: str, steps_ticked: list[int] | None) -> str:
    """Average the LoRA files of the steps ticked into one in the workspace's `loras`; returns what came of it as HTML.

    Raises StudioError for fewer than two.
    """
    steps, job = ticked_steps(steps_ticked), shown_job(visit, slug, job_id)
    if len(steps) < 2:
        raise StudioError("merge.too_few")
    root = visit.workspace.root
    files = [inside(root, lora_of(visit, slug, job_id, step)) for step in steps]
    numbers = "-".join(map(str, steps))
    if len(numbers) > LONGEST_STEPS:
        numbers = f"{steps[0]}-to-{steps[-1]}-x{len(steps)}"
    name = f"{job.project.slug[:20]}-{job.id.removesuffix('-train')}-{numbers}"
    parts = [f"{path}={1 / len(files):.6f}" for path in files]
    target = visit.workspace.loras / f"{name}.safetensors"
    done, message = _run(["lora", "merge", *parts, "--target", str(target), "--language", visit.language])
    return note(message, "good" if done else "bad")


def _run(arguments: list[str]) -> tuple[bool, str]:
    """Whether it was done, and the last line that was printed."""
    child = spawn(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, error = child.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        out, error = child.communicate()
    lines = (out if child.returncode == 0 else error or out).decode(errors="replace").strip().splitlines()
    return child.returncode == 0, lines[-1] if lines else ""
