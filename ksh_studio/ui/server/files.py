"""Serves pictures and downloads of a project by URL, after the same check of rights that every handler makes.

A URL is `/ksh/<project>/<kind>/<name>` and holds no path of this machine. gradio's own file serving is not used, since
it would open whole folders to everybody.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ksh_studio.disk import any_disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.paths import inside, is_plain
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import LoginRequired, Visit, visit_of
from ksh_studio.ui.server.refusals import refusal

MEDIA_TYPES = {".webp": "image/webp", ".png": "image/png"}


class NotServed(StudioError):
    """There is no such file, or none that is served."""


@dataclass(frozen=True)
class ServedFiles:
    """The files of one kind: who may have them, and how they are sent."""

    action: Action
    """What a visitor must be allowed to do."""
    suffixes: tuple[str, ...]
    download: bool = False
    """The browser saves the file instead of showing it."""
    keep: Literal["never", "version", "always"] = "never"
    """Whether the browser may keep the file: always where its name is made from its content; where another file may get
    the same name later, under the address of its version only."""


SERVED: dict[str, ServedFiles] = {
    "thumb": ServedFiles("look", (".webp",), keep="always"),
    "drawing": ServedFiles("look", (".webp",), keep="always"),
    "preview": ServedFiles("look", (".webp", ".png"), keep="version"),
    "picture": ServedFiles("download_picture", (".png",), keep="version"),
    "lora": ServedFiles("download_lora", (".safetensors",), download=True),
    "export": ServedFiles("export", (".zip",), download=True),
    "backup": ServedFiles("backup", (".zip",), download=True),
}


def file_url(project: Project, kind: str, name: str, **query: str) -> str:
    """The URL of a file. `name`: its path in the folder of its kind, POSIX style; `query`: parameters to add."""
    if SERVED[kind].keep == "version" and is_plain(name):
        with suppress(OSError):
            query["v"] = _version(_folder(project, kind) / name)
    parameters = "&".join(f"{key}={quote(value)}" for key, value in query.items())
    return f"/ksh/{project.slug}/{kind}/{quote(name)}{'?' + parameters if parameters else ''}"


def _version(path: Path) -> str:
    """Another one for another file of this name, such as a picture drawn anew after it was deleted."""
    return f"{path.stat().st_mtime_ns:x}"


def download_folder(project: Project, kind: str) -> Path:
    """The folder of the project's zips that are ready to be downloaded; it may be deleted at any time."""
    folder = project.workspace.cache / "outgoing" / project.slug / kind
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def file_routes(studio: Studio) -> list[Route]:
    """The routes of these files, which the server tries before gradio's own."""

    def send(request: Request) -> Response:
        try:
            with any_disk_errors(studio.workspace.root):
                version = request.query_params.get("v", "")
                return _response(visit_of(studio, request), version, **request.path_params)
        except NotServed as error:
            return refusal(request, error.sentence, 404)
        except StudioError as error:
            return refusal(request, error.sentence, 401 if isinstance(error, LoginRequired) else 403)

    return [Route("/ksh/{slug}/{kind}/{name:path}", send)]


def _response(visit: Visit, version: str, slug: str, kind: str, name: str) -> Response:
    """The file. Raises NotServed where there is none, and StudioError when this visitor may not have it.

    version: which one of this name is asked for; the browser keeps it only when it is this one.
    """
    served = SERVED.get(kind)
    if served is None:
        raise NotServed("access.no_file")
    visit.need(served.action)
    project = visit.project(slug)
    path = inside(_folder(project, kind), name)
    if path.suffix not in served.suffixes or path.name.startswith(".") or not path.is_file():
        raise NotServed("access.no_file")
    kept = served.keep == "always" or (served.keep == "version" and version == _version(path))
    headers = {"Cache-Control": "private, max-age=31536000, immutable" if kept else "no-store"}
    media_type = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    filename = path.name if served.download else None
    return FileResponse(path, media_type=media_type, headers=headers, filename=filename)


def _folder(project: Project, kind: str) -> Path:
    folders = {"thumb": project.thumbs, "drawing": project.drawings, "picture": project.pictures}
    if kind in folders:
        return folders[kind]
    return project.jobs if kind in ("preview", "lora", "export") else download_folder(project, kind)
