"""LoRA files from the command line: `studio.py lora convert`, `merge` and `push`."""

import argparse
from pathlib import Path

from ksh_studio.cli.commands import Commands
from ksh_studio.errors import StudioError
from ksh_studio.jobs.figures import size
from ksh_studio.locales import translate
from ksh_studio.paths import typed_path
from ksh_studio.project.workspace import Workspace


def add_lora_commands(commands: Commands) -> None:
    """Add the three subcommands."""
    convert = commands.add("convert", _convert, "write a LoRA file in diffusers' own format")
    convert.add_argument("lora", type=typed_path)
    convert.add_argument("target", type=typed_path, help="a .safetensors file")
    merge = commands.add("merge", _merge, "add several LoRA files up, each by its weight")
    merge.add_argument("parts", nargs="+", metavar="FILE=WEIGHT", help="such as a.safetensors=0.5")
    merge.add_argument("--target", type=typed_path, required=True, help="a .safetensors file")
    merge.add_argument("--rank", type=int, help="of the result; as large as needed to lose nothing when not given")
    push = commands.add("push", _push, "publish a LoRA on the Hugging Face Hub; without --yes only shows what")
    push.add_argument("lora", type=typed_path)
    push.add_argument("repository", help="account/name")
    push.add_argument("--public", action="store_true", help="anybody may see it; private when not given")
    push.add_argument("--license", default="", help="the Hub's name of a licence, such as cc-by-4.0")
    push.add_argument("--yes", action="store_true", help="upload; without it nothing leaves this machine")


def _convert(arguments: argparse.Namespace) -> int:
    from ksh_studio.lora.convert import to_diffusers

    path = to_diffusers(arguments.lora, _file(arguments.target))
    print(translate("merge.converted", arguments.language, path=path))
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    from ksh_studio.lora.merge import merge

    merged = merge([_part(text) for text in arguments.parts], _file(arguments.target), arguments.rank)
    values = {"path": merged.header.path, "rank": merged.header.rank, "lost": f"{100 * merged.error:.2g}"}
    print(translate("merge.done", arguments.language, **values))
    return 0


def _push(arguments: argparse.Namespace) -> int:
    from ksh_studio.lora.publishing import plan_publication, publish

    lora, language = arguments.lora.resolve(), arguments.language
    planned = plan_publication(
        Workspace(arguments.workspace.resolve()), lora, arguments.repository, not arguments.public, arguments.license
    )
    visibility = "@publish.private" if planned.private else "@publish.public"
    values = {"name": planned.repo_id, "visibility": visibility, "size": size(planned.bytes / 1e6)}
    print(translate("publish.planned", language, **values))
    for file in planned.files:
        print(f"  {file.name}  {size(file.bytes / 1e6)}")
    print(f"\n{planned.card}")
    if not arguments.yes:
        print(translate("publish.sure", language))
        return 0
    print(translate("publish.done", language, url=publish(planned)))
    return 0


def _file(target: Path) -> Path:
    """Where to write. Raises StudioError for another kind of file."""
    if target.suffix.lower() != ".safetensors":
        raise StudioError("lora.not_safetensors", name=target.name)
    return target


def _part(text: str) -> tuple[Path, float]:
    """A file and its weight. Raises StudioError when it is not written so."""
    path, _, weight = text.rpartition("=")
    try:
        return typed_path(path or weight), float(weight) if path else 1.0
    except ValueError as error:
        raise StudioError("merge.part", text=text) from error
