"""Work in another process from the command line: stop, pause, resume, preview-now, queue. `cli` adds these."""

import argparse
from collections.abc import Callable

from ksh_studio.cli import job_actions
from ksh_studio.project.workspace import Project, Workspace


def add_commands(
    add: Callable[..., argparse.ArgumentParser], project_of: Callable[[argparse.Namespace], Project]
) -> None:
    """Add the five subcommands; add: makes one, project_of: the project that was named."""
    for word, steer in job_actions.WORDS.items():
        steered = add(word, _steer, steer.__doc__.split(":")[0].lower(), project=True)
        steered.set_defaults(steer=steer, project_of=project_of)
        steered.description = steer.__doc__
        steered.add_argument(
            "--job", help="of the project; the one that works, else the newest training, when not given"
        )
        if word == "preview-now":
            steered.add_argument("--prompt", required=True, help="what to draw")
            steered.add_argument("--seed", type=int, help="same seed, same picture; the training's own when not given")
    queue = add("queue", _queue, "list the jobs that wait, of all projects")
    queue.add_argument("--remove", metavar="JOB", help="take this one out of the queue")


def _steer(arguments: argparse.Namespace) -> int:
    asked = {name: getattr(arguments, name, None) for name in ("job", "language", "prompt", "seed")}
    print(arguments.steer(job_actions.Asking(arguments.project_of(arguments), **asked)))
    return 0


def _queue(arguments: argparse.Namespace) -> int:
    workspace = Workspace(arguments.workspace)
    workspace.prepare()
    if arguments.remove:
        job_actions.take_out(workspace, arguments.remove)
    for line in job_actions.waiting(workspace, arguments.language):
        print(line)
    return 0
