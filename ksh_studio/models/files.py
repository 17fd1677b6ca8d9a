"""Finds a model's files on this machine, downloading them from the hub when needed. Does not load any weights."""

import errno
import json
from pathlib import Path

from ksh_studio.errors import StudioError
from ksh_studio.models.registry import PICKLES, BaseEntry, CaptionerEntry
from ksh_studio.models.shipped import check_shipped

BASE_PARTS = ("unet", "vae", "text_encoder")
BASE_PATTERNS = [
    "model_index.json",
    "scheduler/*.json",
    "tokenizer/*",
    *(f"{part}/*.{suffix}" for part in BASE_PARTS for suffix in ("json", "safetensors")),
]
CAPTIONER_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]
HALF_PRECISION = ".fp16.safetensors"
"""How weights end that a repository or folder has in half precision, often beside those in fp32."""
HALF_PATTERNS = ("*.fp16.*",)
OTHER_VARIANTS = [*HALF_PATTERNS, "*.non_ema.*", "*.msgpack", "*.bin"]
HEADER_LIMIT = 100_000_000


def base_folder(entry: BaseEntry) -> Path:
    """The folder of a base model that comes from the hub or from a folder, after checking that it is complete.

    Raises StudioError when it does not exist or is incomplete, when the hub cannot be reached or does not have it, or
    when its weights exist only as pickles.
    """
    folder = _folder(entry, BASE_PATTERNS)
    if not (folder / "unet" / "config.json").is_file():
        raise StudioError("models.not_a_base", name=entry.name)
    for part in BASE_PARTS:
        _check_weights(folder / part, entry.name)
    return folder


def captioner_folder(entry: CaptionerEntry) -> Path:
    """The folder of a captioner, after checking that it is complete. Raises StudioError as `base_folder` does."""
    folder = _folder(entry, CAPTIONER_PATTERNS)
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError) as error:
        raise StudioError("models.not_a_captioner", name=entry.name) from error
    if model_type != "blip-2":
        raise StudioError("models.not_a_captioner", name=entry.name)
    _check_weights(folder, entry.name)
    return folder


def needs_download(entry: BaseEntry | CaptionerEntry) -> bool:
    """Whether the model comes from the hub and is not on this machine yet, so that loading it takes minutes.

    Does not use the network.
    """
    if entry.source_type != "hub":
        return False
    from huggingface_hub import try_to_load_from_cache

    config = "unet/config.json" if isinstance(entry, BaseEntry) else "config.json"
    return not isinstance(try_to_load_from_cache(entry.source, config, revision=entry.revision), str)


def weight_bytes(folder: Path) -> int:
    """The size in bytes of all .safetensors files in `folder` and below it."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def check_safetensors(path: Path) -> dict:
    """The header of a .safetensors file: tensor names, shapes and `__metadata__`.

    Raises StudioError when it cannot be read or is no .safetensors file, whatever its name.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= min(HEADER_LIMIT, path.stat().st_size - 8):
                raise StudioError("models.not_safetensors", name=path.name)
            return dict(json.loads(file.read(size)))
    except (ValueError, TypeError, RecursionError) as error:
        raise StudioError("models.not_safetensors", name=path.name) from error
    except OSError as error:
        raise StudioError("models.unreadable", name=path.name) from error


def weights_variant(folder: Path) -> str | None:
    """What the libraries call the variant of the weights in a model's folder: "fp16" when there are no others."""
    names = [path.name for path in folder.glob("*.safetensors")]
    return "fp16" if names and all(name.endswith(HALF_PRECISION) for name in names) else None


def _folder(entry: BaseEntry | CaptionerEntry, patterns: list[str]) -> Path:
    if entry.source_type == "hub":
        return _fetch(entry, patterns)
    folder = Path(entry.source)
    check_shipped(folder)
    if not folder.is_dir():
        raise StudioError("models.not_there", name=entry.name)
    return folder


def _fetch(entry: BaseEntry | CaptionerEntry, patterns: list[str]) -> Path:
    """Download what is used of a repository, never a pickle, into the hub's cache; return its folder there."""
    from huggingface_hub import HfApi, errors, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    http_error = getattr(errors, "HTTPError", OSError)  # of its HTTP client, whichever its version uses
    try:
        folder = Path(
            snapshot_download(
                entry.source, revision=entry.revision, allow_patterns=patterns, ignore_patterns=OTHER_VARIANTS
            )
        )
        if weight_bytes(folder) == 0:
            names = HfApi().list_repo_files(entry.source, revision=entry.revision)
            if any(name.endswith(HALF_PRECISION) for name in names):
                others = [pattern for pattern in OTHER_VARIANTS if pattern not in HALF_PATTERNS]
                snapshot_download(
                    entry.source, revision=entry.revision, allow_patterns=patterns, ignore_patterns=others
                )
            elif any(name.endswith(PICKLES) for name in names):
                raise StudioError("models.only_pickles", name=entry.source)
    except GatedRepoError as error:
        raise StudioError("models.gated", name=entry.source) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise StudioError("models.hub_unknown", name=entry.source) from error
    except (http_error, OSError) as error:  # offline, no answer, an answer that makes no sense, or an incomplete cache
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise StudioError("disk.full", path=entry.source) from error
        raise StudioError("models.hub_unreachable", name=entry.source) from error
    return folder


def _check_weights(folder: Path, name: str) -> None:
    weights = list(folder.glob("*.safetensors"))
    if weights:
        for path in weights:
            check_safetensors(path)
    elif any(path.suffix in PICKLES for path in folder.iterdir()) if folder.is_dir() else False:
        raise StudioError("models.only_pickles", name=name)
    else:
        raise StudioError("models.incomplete", name=name, part=folder.name)
