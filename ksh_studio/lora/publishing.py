"""A LoRA goes to the Hugging Face Hub: first everything is shown, then exactly that is uploaded (no torch).

Private unless asked otherwise. The token is the one of `hf auth login`: the library finds it itself, here it is neither
kept nor passed on nor written anywhere.
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

from ksh_studio.errors import StudioError
from ksh_studio.events import Preview
from ksh_studio.jobs.folder import job_at
from ksh_studio.jobs.status import job_events
from ksh_studio.lora.file.header import LoraInfo, read_header
from ksh_studio.lora.file.kinds import Kind
from ksh_studio.models.registry import HUB_ID, base_entry, has_name
from ksh_studio.project.workspace import Workspace

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

PICTURES = 8
CARD = "README.md"
_KINDS: dict[Kind, str] = {"lora": "LoRA", "dora": "DoRA", "loha": "LoHa", "lokr": "LoKr"}


@dataclass(frozen=True)
class Upload:
    """One file as it will be in the repository."""

    name: str
    """Its path there."""
    bytes: int
    sha256: str
    source: Path | None = None
    """Where it lies now; None: the card, whose text is in the plan."""


@dataclass(frozen=True)
class Publication:
    """Everything that would be uploaded, and where: what the artist sees before anything leaves the machine."""

    repo_id: str
    private: bool
    files: tuple[Upload, ...]
    card: str

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class _Picture:
    path: Path
    prompt: str


def prepare(workspace: Workspace, lora: Path, repo_id: str, private: bool = True, licence: str = "") -> Publication:
    """The dry run: what `publish` would upload, file by file. Nothing is sent, no network is asked.

    repo_id: `<account>/<name>`. licence: the Hub's name of one, which only the artist can choose; empty: none is named.
    Raises StudioError for a name the Hub does not take, or a file that is no LoRA.
    """
    if "/" not in repo_id or not HUB_ID.fullmatch(repo_id):
        raise StudioError("publish.name", name=repo_id[:100])
    info = read_header(lora)
    pictures, base = _made_by(workspace, info)
    files = [_upload(lora.name, lora)]
    sidecar = lora.with_suffix(".json")
    files += [_upload(sidecar.name, sidecar)] if sidecar.is_file() else []
    files += [_upload(f"images/{n}.png", picture.path) for n, picture in enumerate(pictures, start=1)]
    card = _card(info, repo_id, licence, base, [picture.prompt for picture in pictures])
    text = card.encode()
    files.insert(0, Upload(CARD, len(text), hashlib.sha256(text).hexdigest()))
    return Publication(repo_id, private, tuple(files), card)


def publish(publication: Publication) -> str:
    """Upload exactly what was shown, in one commit, and return the repository's address.

    A repository that is there is added to; its earlier states stay in its history.
    Raises StudioError when nobody is logged in, a file has changed since it was shown, the repository is public though
    it should be private, or the Hub cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory() as folder, _hub_errors(publication.repo_id):
        _stage(publication, Path(folder))
        api = _api()
        url = api.create_repo(publication.repo_id, private=publication.private, exist_ok=True)
        if publication.private and not api.model_info(publication.repo_id).private:
            raise StudioError("publish.is_public", name=publication.repo_id)
        api.upload_folder(repo_id=publication.repo_id, folder_path=folder, commit_message="Upload from KSH Studio")
    return str(url)


def _api() -> "HfApi":
    """The Hub's client, with the artist's own login. Raises StudioError where nobody is logged in."""
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise StudioError("publish.no_login")
    return HfApi()


def _stage(publication: Publication, folder: Path) -> None:
    """Copy the files to where they are uploaded from; each must still be what was shown."""
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
        if _sha256(target) != file.sha256:
            raise StudioError("publish.changed", name=file.name)


def _upload(name: str, path: Path) -> Upload:
    return Upload(name, path.stat().st_size, _sha256(path), path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _made_by(workspace: Workspace, info: LoraInfo) -> tuple[list[_Picture], str]:
    """The previews of this LoRA's step and its base model on the hub ("" for any other), from the job that made it."""
    folder = info.path.resolve().parent.parent
    beside = info.path.with_suffix(".png")
    alone = [_Picture(beside, info.trigger)] if beside.is_file() else []
    if folder.parent.name != "jobs" or not folder.is_relative_to(workspace.projects_folder.resolve()):
        return alone, ""
    job = job_at(folder, workspace.project(folder.parent.parent.name))
    previews = [event for event in job_events(job) if isinstance(event, Preview) and event.step == info.step]
    found = [_Picture(job.project.root / event.path, event.prompt) for event in previews if not event.asked]
    base = str(job.file.settings.get("base_model") or "")
    there = [picture for picture in found if picture.path.is_file()] or alone
    return [picture for picture in there if not _names(picture.path, base)][:PICTURES], _hub_base(base)


def _names(picture: Path, base: str) -> bool:
    """Whether the picture's recipe has the path of a base model of this machine: older studios wrote it there."""
    try:
        known = not base or has_name(base_entry(base))
    except StudioError:
        known = False
    return not known and json.dumps(base, ensure_ascii=False)[1:-1].encode() in picture.read_bytes()


def _hub_base(name: str) -> str:
    """The hub id of a base model; empty for a folder or file of this machine, whose path is nobody's business."""
    try:
        entry = base_entry(name)
    except StudioError:
        return ""
    return entry.source if entry.kind == "hub" else ""


def _card(info: LoraInfo, repo_id: str, licence: str, base: str, prompts: list[str]) -> str:
    """The model card: front matter as the Hub reads it, then a few lines for people."""
    from huggingface_hub import ModelCardData

    kind, widget = _KINDS[info.kind], [
        {"text": prompt or "-", "output": {"url": f"images/{n}.png"}} for n, prompt in enumerate(prompts, start=1)
    ]  # fmt: skip
    data = ModelCardData(
        license=licence or None,
        base_model=base or None,
        library_name="diffusers" if info.kind == "lora" else None,
        pipeline_tag="text-to-image",
        tags=["text-to-image", "stable-diffusion", "lora", *([info.kind] if info.kind != "lora" else [])],
        instance_prompt=info.trigger or None,
        widget=widget or None,
    )
    title = info.metadata.get("modelspec.title") or info.label
    lines = ["---", data.to_yaml(), "---", "", f"# {title}", ""]
    lines.append(f"{kind} of an artist's drawing style, for {base or info.base or 'Stable Diffusion 1.5'}.")
    if info.trigger:
        lines += ["", "Put this into the prompt:", "", "```text", info.trigger, "```"]
    if info.kind == "lora" and base:
        lines += ["", *_with_diffusers(base, repo_id, info.path.name)]
    elif info.kind != "lora":
        lines += ["", f"A {kind} file loads in KSH Studio, Forge and ComfyUI; diffusers does not load it."]
    lines += ["", f"Made with KSH Studio: rank {info.rank}, {info.metadata.get('ss_steps') or '?'} steps.", ""]
    return "\n".join(lines)


def _with_diffusers(base: str, repo_id: str, name: str) -> list[str]:
    return [
        "```python",
        "from diffusers import StableDiffusionPipeline",
        "",
        f'pipeline = StableDiffusionPipeline.from_pretrained("{base}")',
        f'pipeline.load_lora_weights("{repo_id}", weight_name="{name}")',
        "```",
    ]


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """What the library raises becomes a sentence; its own text, which may hold an address, goes to the log only."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled

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
