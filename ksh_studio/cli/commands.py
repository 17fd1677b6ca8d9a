"""What all commands of the terminal share: how one is added, its common options, and the project that it names."""

import argparse
import sys
from collections.abc import Callable

from ksh_studio.config import ProjectSettings
from ksh_studio.errors import StudioError, validated
from ksh_studio.locales import translate
from ksh_studio.paths import typed_path
from ksh_studio.project.set_aside import allow, read_set_aside
from ksh_studio.project.workspace import Project, Workspace

Run = Callable[[argparse.Namespace], int]
"""What a command does with its arguments; returns the exit code."""


class Commands:
    """Adds subcommands that share the common options."""

    def __init__(self, subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        self.subparsers = subparsers

    def add(self, name: str, run: Run, text: str, project: bool = False) -> argparse.ArgumentParser:
        """A command for people. text: one line of help; project: whether a project must be named."""
        parser = self.subparsers.add_parser(name, help=text, description=text)
        parser.set_defaults(run=run)
        common_options(parser)
        if project:
            parser.add_argument("--project", required=True, help="name of the project; import makes it when it is new")
            text = "let a restored project use the models, folders and trackers that its backup names"
            parser.add_argument("--allow-restored", action="store_true", help=text)
        return parser

    def add_internal(self, name: str, run: Run) -> argparse.ArgumentParser:
        """A command that the studio calls itself, in a child process; no help lists it."""
        parser = self.subparsers.add_parser(name)
        parser.set_defaults(run=run)
        common_options(parser)
        return parser

    def add_group(self, name: str, text: str) -> "Commands":
        """Commands behind a common word, such as `lora merge`."""
        parser = self.subparsers.add_parser(name, help=text, description=text)
        common_options(parser)
        return Commands(parser.add_subparsers(title="commands", metavar="", required=True))


def common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has."""
    # SUPPRESS: a subcommand that is not given an option must not overwrite what stood before the subcommand.
    parser.add_argument("--workspace", type=typed_path, help="where everything is kept", default=argparse.SUPPRESS)
    parser.add_argument("--language", choices=("en", "ko"), help="of what is printed", default=argparse.SUPPRESS)


def workspace_of(arguments: argparse.Namespace) -> Workspace:
    """The workspace that was named, its folders made."""
    workspace = Workspace(arguments.workspace)
    workspace.prepare()
    return workspace


def project_of(arguments: argparse.Namespace, make: bool = False) -> Project:
    """The project that was named, by its folder or its name; make: a new one where there is none.

    Where several bear the name, the one whose folder is called so is meant, else the first folder; a warning on stderr
    names them all. A warning also says what its backup names and the owner has not allowed; `--allow-restored` allows
    it. Raises StudioError when there is no such project.
    """
    workspace, name = workspace_of(arguments), arguments.project
    projects = [project for project in workspace.projects() if _is_called(project, name)]
    if not projects:
        if make:
            return workspace.create_project(validated(ProjectSettings, {"name": name}))
        raise StudioError("project.unknown", name=name)
    projects.sort(key=lambda project: (project.slug != name, project.slug))
    if len(projects) > 1:
        slugs = ", ".join(project.slug for project in projects)
        values = {"name": name, "slugs": slugs, "slug": projects[0].slug}
        print(translate("cli.same_name", arguments.language, **values), file=sys.stderr)
    _ask_about_backup(projects[0], arguments)
    return projects[0]


def _ask_about_backup(project: Project, arguments: argparse.Namespace) -> None:
    """Allow what the project's backup names where the option says so; else say what is not used, and the option."""
    if arguments.allow_restored:
        allow(project)
    kept = read_set_aside(project)
    if kept is not None and not kept.declined:
        question = translate("backup.set_aside", arguments.language, names=kept.names())
        print(question, translate("backup.set_aside_option", arguments.language), file=sys.stderr)


def _is_called(project: Project, name: str) -> bool:
    if project.slug == name:
        return True
    try:
        return project.settings().name == name
    except StudioError:
        return False  # its file is damaged: no reason to refuse the other projects
