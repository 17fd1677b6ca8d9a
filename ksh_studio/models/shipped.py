"""Checks, before they are loaded, that the models that come with the studio are complete and unchanged.

`assets/pocket/manifest.json` is `{"files": {"base/unet/config.json": {"sha256": "...", "bytes": 1234}, ...}}`.
"""

import json
from functools import lru_cache
from pathlib import Path

from ksh_studio.disk import sha256
from ksh_studio.errors import StudioError
from ksh_studio.models.registry import POCKET


def check_shipped(source: Path) -> None:
    """Compare the files of the model in `source` with the manifest; a folder outside `assets/pocket` is not checked.

    Raises StudioError, with the name of the file, when one is missing or differs from the manifest.
    """
    if not source.is_relative_to(POCKET):
        return
    manifest = POCKET / "manifest.json"
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    except FileNotFoundError as error:
        raise StudioError("models.missing_asset", path=manifest) from error
    except (OSError, ValueError, KeyError) as error:
        raise StudioError("models.damaged_asset", path=manifest) from error
    part = f"{source.relative_to(POCKET).as_posix()}/"
    for name, expected in files.items():
        if name.startswith(part):
            _check(POCKET / name, expected["sha256"])


def cached_sha256(path: Path) -> str:
    """The SHA-256 of a file as 64 hex digits; the file is read again only when its size or time of change differ.

    A file in the hub's cache has its SHA-256 as its name, and is not read.
    """
    real = path.resolve()
    if len(real.name) == 64 and real.parent.name == "blobs":
        return real.name
    status = real.stat()
    return _sha256(real, status.st_size, status.st_mtime_ns)


def _check(path: Path, expected_sha256: str) -> None:
    if not path.is_file():
        raise StudioError("models.missing_asset", path=path)
    if cached_sha256(path) != expected_sha256:
        raise StudioError("models.damaged_asset", path=path)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    return sha256(path)
