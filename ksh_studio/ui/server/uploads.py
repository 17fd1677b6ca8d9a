"""Receives the files that are dropped on the page, in portions, into a folder of the project's own workspace.

They are stored under numbers; the names that they had are only text. What is not imported within a day is deleted.
"""

import json
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ksh_studio.disk import any_disk_errors, disk_errors
from ksh_studio.drawings.sources import MAX_FILES
from ksh_studio.drawings.stage import NAMES_SUFFIX
from ksh_studio.errors import StudioError
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import LoginRequired, visit_of
from ksh_studio.ui.parts.messages import in_languages

UPLOAD_PATTERN = re.compile(r"[0-9a-f]{32}")
PORTION_FILES = 200
"""Most files of one portion."""
KEPT_SECONDS = 86_400.0


def upload_folder(project: Project, upload: str) -> Path:
    """Where the portions of this upload are collected. Raises StudioError for a name that the page does not make."""
    if not UPLOAD_PATTERN.fullmatch(upload):
        raise StudioError("caption_tab.bad_call")
    return _uploads(project) / upload


def upload_routes(studio: Studio) -> list[Route]:
    """The route to which `assets/js/drop.js` sends a portion: files, and a JSON list of their names."""

    async def receive(request: Request) -> Response:
        try:
            with any_disk_errors(studio.workspace.root):
                return await _received(studio, request)
        except StudioError as error:
            status = 401 if isinstance(error, LoginRequired) else 403
            return JSONResponse({"ok": False, "texts": in_languages(error.sentence)}, status)

    return [Route("/ksh/{slug}/upload/{upload}/{portion:int}", receive, methods=["POST"])]


async def _received(studio: Studio, request: Request) -> Response:
    visit = visit_of(studio, request)
    visit.need("import")
    project = visit.project(request.path_params["slug"])
    folder = upload_folder(project, request.path_params["upload"])
    async with request.form(max_files=PORTION_FILES, max_fields=1) as form:
        files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
        names = _names(form.get("names"), len(files))
        contents = [file.file for file in files]
        await run_in_threadpool(_store, folder, request.path_params["portion"], contents, names)
    return JSONResponse({"ok": True})


def _names(value: object, files: int) -> list[str]:
    """The names of the files of a portion. Raises StudioError when they are not what the page sends."""
    try:
        names = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        names = None
    if not isinstance(names, list) or len(names) != files or not all(isinstance(name, str) for name in names):
        raise StudioError("caption_tab.bad_call")
    return names


def _store(folder: Path, portion: int, contents: Sequence[BinaryIO], names: list[str]) -> None:
    """Write the files of a portion, then their names; the same portion may come again."""
    with disk_errors(folder):
        if not folder.is_dir():
            _delete_old(folder.parent)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sum(1 for _ in folder.iterdir()) > 2 * MAX_FILES:
            raise StudioError("import.too_many", name=names[0][:100] if names else "", limit=MAX_FILES)
        stored = {f"{portion:08d}-{number:04d}": name for number, name in enumerate(names)}
        for file_name, content in zip(stored, contents, strict=True):
            with (folder / file_name).open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
        (folder / f"{portion:08d}{NAMES_SUFFIX}").write_text(json.dumps(stored), encoding="utf-8")


def _delete_old(uploads: Path) -> None:
    for folder in uploads.glob("*/"):
        if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _uploads(project: Project) -> Path:
    return project.workspace.cache / "incoming" / project.slug
