"""Publishes a LoRA on the Hugging Face Hub: first a plan shows everything, then exactly that is uploaded (no torch).

The repository is private unless the artist wants it public. The token is the one of `hf auth login`: huggingface_hub
finds it itself, and this module neither keeps it nor passes it on nor writes it anywhere.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ksh_studio.disk import sha256
from ksh_studio.errors import StudioError
from ksh_studio.events import Preview
from ksh_studio.jobs.folder import Job, job_at
from ksh_studio.jobs.status import job_events
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.lora.model_card import ExamplePicture, model_card
from ksh_studio.models.registry import HUB_ID, BaseEntry, base_entry, has_name
from ksh_studio.paths import JSON, PNG, FileKind, file_inside, is_network_path
from ksh_studio.project.workspace import Workspace

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

MAX_PICTURES = 8
CARD = "README.md"


@dataclass(frozen=True)
class PlannedFile:
    """One file as it will be in the repository."""

    name: str
    """Its path in the repository."""
    bytes: int
    sha256: str
    source: Path | None = None
    """The file on this machine; None for the model card, whose text is in the plan."""


@dataclass(frozen=True)
class Publication:
    """The plan of an upload: the files and the repository, which the artist sees before anything leaves the machine."""

    repo_id: str
    private: bool
    files: tuple[PlannedFile, ...]
    card: str

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(file.bytes for file in self.files)


def plan_publication(
    workspace: Workspace, lora: Path, repo_id: str, private: bool = True, licence: str = ""
) -> Publication:
    """Plan what `publish` will upload, file by file, without using the network.

    lora: the file; pictures come from its job when it lies in one. repo_id: `<account>/<name>`. licence: the Hub's name
    of the licence that the artist chose; when it is empty, the card names none.
    Raises StudioError when the Hub does not accept the name, or when the file is no LoRA.
    """
    if "/" not in repo_id or not HUB_ID.fullmatch(repo_id):
        raise StudioError("publish.name", name=repo_id[:100])
    header = read_header(lora)
    pictures, base = _pictures_and_base(workspace, header)
    files = [_planned_file(lora.name, lora)]
    sidecar = _beside(lora, JSON)
    files += [_planned_file(f"{lora.stem}.json", sidecar)] if sidecar is not None else []
    files += [_planned_file(f"images/{n}.png", picture.path) for n, picture in enumerate(pictures, start=1)]
    card = model_card(header, repo_id, licence, base, [picture.prompt for picture in pictures])
    data = card.encode()
    files.insert(0, PlannedFile(CARD, len(data), hashlib.sha256(data).hexdigest()))
    return Publication(repo_id, private, tuple(files), card)


def publish(publication: Publication) -> str:
    """Upload exactly what was planned, in one commit, and return the repository's address.

    When the repository exists, the files are added to it; its history keeps the earlier ones.
    Raises StudioError when nobody is logged in, a file has changed since the plan was made, the repository is public
    although it should be private, or the Hub cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory() as folder, _hub_errors(publication.repo_id):
        _copy_files(publication, Path(folder))
        api = _api()
        url = api.create_repo(publication.repo_id, private=publication.private, exist_ok=True)
        if publication.private and not api.model_info(publication.repo_id).private:
            raise StudioError("publish.is_public", name=publication.repo_id)
        api.upload_folder(repo_id=publication.repo_id, folder_path=folder, commit_message="Upload from KSH Studio")
    return str(url)


def _api() -> "HfApi":
    """The Hub's client, with the artist's login. Raises StudioError when nobody is logged in."""
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise StudioError("publish.no_login")
    return HfApi()


def _copy_files(publication: Publication, folder: Path) -> None:
    """Copy the files to `folder`, to upload them from there. Raises StudioError when one is not as it was planned."""
    for file in publication.files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.source is None:
            target.write_bytes(publication.card.encode())
            continue
        try:
            shutil.copyfile(file.source, target)
        except OSError as error:
            raise StudioError("publish.changed", name=file.name) from error
        if sha256(target) != file.sha256:
            raise StudioError("publish.changed", name=file.name)


def _planned_file(name: str, path: Path) -> PlannedFile:
    return PlannedFile(name, path.stat().st_size, sha256(path), path)


def _pictures_and_base(workspace: Workspace, header: LoraHeader) -> tuple[list[ExamplePicture], str]:
    """The pictures to show and the hub id of the base model ("" when it is not on the Hub).

    Both come from the job in whose folder the file lies: the pictures are its previews of the same step. Elsewhere the
    picture beside the file is all there is.
    """
    folder = header.path.resolve().parent.parent
    beside = _beside(header.path, PNG)
    beside_file = [ExamplePicture(beside, header.trigger)] if beside is not None else []
    if folder.parent.name != "jobs" or not folder.is_relative_to(workspace.projects_folder.resolve()):
        return beside_file, ""
    job = job_at(folder, workspace.project(folder.parent.parent.name))
    base = str(job.file.settings.get("base_model") or "")
    pictures = _previews(job, header.step) or beside_file
    return [picture for picture in pictures if not _reveals_path(picture.path, base)][:MAX_PICTURES], _hub_id(base)


def _previews(job: Job, step: int | None) -> list[ExamplePicture]:
    """The previews of a step: only pictures in the job's own folder, whatever its events say."""
    pictures = []
    for event in job_events(job):
        if isinstance(event, Preview) and event.step == step and not event.asked:
            try:
                path = job.project.file_at(event.path, job.previews, PNG)
            except StudioError as error:  # removed by the artist, or an event that nobody of ours wrote
                logger.warning("%s", error)
                continue
            pictures.append(ExamplePicture(path, event.prompt))
    return pictures


def _beside(lora: Path, kind: FileKind) -> Path | None:
    """The file of this kind that lies beside a LoRA and has its name; None when there is none."""
    try:
        return file_inside(lora.parent, lora.stem + kind.suffix, kind)
    except StudioError:
        return None


def _reveals_path(picture: Path, base: str) -> bool:
    """Whether the picture's recipe holds the path of a base model on this machine: earlier versions wrote it there."""
    entry = _entry(base)
    has_public_name = not base or (entry is not None and has_name(entry))
    return not has_public_name and json.dumps(base, ensure_ascii=False)[1:-1].encode() in picture.read_bytes()


def _hub_id(name: str) -> str:
    """The hub id of a base model; empty for a folder or file on this machine, whose path is not published."""
    entry = _entry(name)
    return entry.source if entry is not None and entry.source_type == "hub" else ""


def _entry(name: str) -> BaseEntry | None:
    """The base model that a job names; None where it is not there. A share that a stranger names is not looked at."""
    try:
        return None if is_network_path(name) else base_entry(name)
    except StudioError:
        return None


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub into sentences; their own text may hold an address and is not shown.

    name: the name of the repository.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    # the base class of the errors of its HTTP client (httpx or httpx2, by its version), which it does not export
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # isort: skip

    try:
        yield
    except HFValidationError as error:
        raise StudioError("publish.name", name=name) from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        logger.warning("The hub refused %s with status %s", name, status)
        if status in (401, 403, 404):
            raise StudioError("publish.forbidden", name=name) from None
        raise StudioError("publish.refused", name=name, status=status) from None
    except (OfflineModeIsEnabled, HTTPError, ConnectionError, TimeoutError) as error:
        logger.warning("The hub cannot be reached: %s", type(error).__name__)
        raise StudioError("publish.offline", name=name) from None
