"""Work in another process from the command line: stop, pause, resume, preview-now, queue."""

import argparse

from ksh_studio.cli.commands import Commands, project_of, workspace_of
from ksh_studio.cli.job_actions import ACTIONS, ActionOptions, queue_lines, remove_from_queue


def add_job_commands(commands: Commands) -> None:
    """Add the five subcommands."""
    for name, action in ACTIONS.items():
        parser = commands.add(name, _run_action, action.help, project=True)
        parser.description = f"{action.help.capitalize()}. {action.more}"
        parser.set_defaults(action=action)
        parser.add_argument(
            "--job", help="of the project; the one that works, else the newest training, when not given"
        )
        if name == "preview-now":
            parser.add_argument("--prompt", required=True, help="what to draw")
            parser.add_argument("--seed", type=int, help="same seed, same picture; the training's own when not given")
    queue = commands.add("queue", _queue, "list the jobs that wait, of all projects")
    queue.add_argument("--remove", metavar="JOB", help="take this one out of the queue")


def _run_action(arguments: argparse.Namespace) -> int:
    options = ActionOptions(
        project_of(arguments),
        job_id=arguments.job,
        language=arguments.language,
        prompt=getattr(arguments, "prompt", ""),
        seed=getattr(arguments, "seed", None),
    )
    print(arguments.action.run(options))
    return 0


def _queue(arguments: argparse.Namespace) -> int:
    workspace = workspace_of(arguments)
    if arguments.remove:
        remove_from_queue(workspace, arguments.remove)
    for line in queue_lines(workspace, arguments.language):
        print(line)
    return 0
