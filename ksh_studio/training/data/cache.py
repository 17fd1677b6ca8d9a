"""Latents and text embeddings, computed once and kept on disk by what they were made of.

A key is a hash of everything that decides the value, so a stale entry cannot be found; deleting the folder costs time
only. Files are renamed into place but not synced: one that a power cut tore is computed again.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ksh_studio.disk import disk_errors, unfinished

if TYPE_CHECKING:
    from diffusers import ModelMixin
    from transformers import PreTrainedModel


class Cache:
    """Tensors by key under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Tensor | None:
        """The tensor of this key, on the CPU; None when it is not there or its file is torn."""
        try:
            return safetensors.torch.load_file(self._path(key))["value"]
        except (OSError, SafetensorError, KeyError):
            return None

    def put(self, key: str, value: Tensor) -> None:
        """Keep a tensor. Raises StudioError when the disk is full."""
        path = self._path(key)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = unfinished(path)
            try:
                beside.write_bytes(safetensors.torch.save({"value": value.detach().cpu().contiguous()}))
                os.replace(beside, path)
            finally:
                beside.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def key_of(*parts: object) -> str:
    """The key of what was made of these parts."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def fingerprint(model: "ModelMixin | PreTrainedModel") -> str:
    """SHA-256 of a model's weights, as they were loaded and in their precision, and of its settings.

    Of one part of a base model: another text encoder makes no latents anew. Half a second for a large one.
    """
    config = model.config.to_dict() if hasattr(model.config, "to_dict") else dict(model.config)
    settings = {name: value for name, value in config.items() if not name.startswith("_")}  # those say where it was
    digest = hashlib.sha256(json.dumps(settings, default=str, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def missing(cache: Cache, keys: Sequence[str]) -> tuple[dict[str, Tensor], list[int]]:
    """What the cache has, by key, and the places in `keys` of what it has not, each key once."""
    cached: dict[str, Tensor] = {}
    absent: dict[str, int] = {}
    for place, key in enumerate(keys):
        if key in cached or key in absent:
            continue
        value = cache.get(key)
        if value is None:
            absent[key] = place
        else:
            cached[key] = value
    return cached, list(absent.values())
