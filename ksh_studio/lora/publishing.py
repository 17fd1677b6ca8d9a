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
from ksh_studio.jobs.folder import job_at
from ksh_studio.jobs.status import job_events
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.lora.model_card import ExamplePicture, model_card
from ksh_studio.models.registry import HUB_ID, base_entry, has_name
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
    sidecar = lora.with_suffix(".json")
    files += [_planned_file(sidecar.name, sidecar)] if sidecar.is_file() else []
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
    beside = header.path.with_suffix(".png")
    beside_file = [ExamplePicture(beside, header.trigger)] if beside.is_file() else []
    if folder.parent.name != "jobs" or not folder.is_relative_to(workspace.projects_folder.resolve()):
        return beside_file, ""
    job = job_at(folder, workspace.project(folder.parent.parent.name))
    previews = [event for event in job_events(job) if isinstance(event, Preview) and event.step == header.step]
    of_job = [ExamplePicture(job.project.root / event.path, event.prompt) for event in previews if not event.asked]
    base = str(job.file.settings.get("base_model") or "")
    pictures = [picture for picture in of_job if picture.path.is_file()] or beside_file
    return [picture for picture in pictures if not _reveals_path(picture.path, base)][:MAX_PICTURES], _hub_id(base)


def _reveals_path(picture: Path, base: str) -> bool:
    """Whether the picture's recipe holds the path of a base model on this machine: earlier versions wrote it there."""
    try:
        has_public_name = not base or has_name(base_entry(base))
    except StudioError:
        has_public_name = False
    return not has_public_name and json.dumps(base, ensure_ascii=False)[1:-1].encode() in picture.read_bytes()


def _hub_id(name: str) -> str:
    """The hub id of a base model; empty for a folder or file on this machine, whose path is not published."""
    try:
        entry = base_entry(name)
    except StudioError:
        return ""
    return entry.source if entry.source_type == "hub" else ""


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
