"""A complete state of a training on disk, or none: staged, synced, hashed, renamed; read back only when whole.

    step-000500/ tensors.safetensors   weights, optimiser, EMA
                 state.json            counters
                 manifest.json         sizes and SHA-256 of the two; written last

No pickle. Killed at any moment, the newest folder without a leading dot is whole or its hashes say that it is not.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from ksh_studio.disk import disk_errors, sha256, sync
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.tensors import save_tensors

FORMAT = 1
KEEP = 3
_NAME = re.compile(r"step-\d{1,9}", re.ASCII)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """A checkpoint read back whole."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    path: Path
    damaged: list[str] = field(default_factory=list)
    """Names of newer checkpoints that were not whole."""


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any], keep: int = KEEP
) -> Path:
    """Write the state after `step` steps under `folder` and return its folder; the oldest beyond `keep` are removed.

    Raises StudioError when the disk is full or read-only; earlier checkpoints are then untouched.
    """
    target, staged = folder / f"step-{step:06d}", folder / f".step-{step:06d}"
    with disk_errors(target):
        clean(folder)
        staged.mkdir(parents=True)
        try:
            _stage(staged, tensors, state)
            if target.exists():  # of an earlier process whose later steps are void
                target.rename(folder / f".old-{target.name}")
            os.rename(staged, target)
            sync(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        for old in _newest_first(folder)[keep:]:
            shutil.rmtree(old, ignore_errors=True)
        clean(folder)
    return target


def _stage(staged: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write and sync the two files, then the manifest that vouches for them."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_tensors(staged / "tensors.safetensors", on_cpu)
    (staged / "state.json").write_text(json.dumps(dict(state)), encoding="utf-8")
    files = {}
    for name in ("tensors.safetensors", "state.json"):
        sync(staged / name)
        files[name] = {"bytes": (staged / name).stat().st_size, "sha256": sha256(staged / name)}
    (staged / "manifest.json").write_text(json.dumps({"format": FORMAT, "files": files}), encoding="utf-8")
    sync(staged / "manifest.json")
    sync(staged)


def load_newest(folder: Path) -> Saved | None:
    """The newest whole checkpoint under `folder`, with the names of newer ones that are damaged; None without any.

    Raises StudioError for a checkpoint that a newer studio wrote.
    """
    damaged: list[str] = []
    for path in _newest_first(folder):
        if _whole(path):
            tensors = safetensors.torch.load_file(path / "tensors.safetensors")
            state = json.loads((path / "state.json").read_text(encoding="utf-8"))
            return Saved(int(path.name.removeprefix("step-")), tensors, state, path, damaged)
        damaged.append(path.name)
    return None


def has_checkpoint(folder: Path) -> bool:
    """Whether there is anything to go on from; the files are not checked."""
    return bool(_newest_first(folder))


def clean(folder: Path) -> None:
    """Remove what a killed save left, of checkpoints or of any files that are written beside and renamed."""
    for path in folder.glob(".*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> list[Path]:
    saved = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and not path.is_symlink()]
    return sorted(saved, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def _whole(path: Path) -> bool:
    """Whether the manifest is there and its sizes and hashes hold."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        if manifest["format"] > FORMAT:
            raise StudioError("train.checkpoint_format", name=path.name)
        files = manifest["files"]
        return set(files) == {"tensors.safetensors", "state.json"} and all(
            (path / name).stat().st_size == entry["bytes"] and sha256(path / name) == entry["sha256"]
            for name, entry in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is not whole: %s", path, error)
        return False
