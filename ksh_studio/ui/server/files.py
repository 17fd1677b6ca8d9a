"""Pictures and downloads of a project by URL, each request checked like a handler; no path of ours is in any URL.

`/ksh/<project>/<kind>/<name>`: gradio's own file serving is not used, since it would open whole folders to everybody.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ksh_studio.disk import inside
from ksh_studio.errors import StudioError
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import LoginRequired, Visit, visit_of

KINDS_OF_PICTURE = {".webp": "image/webp", ".png": "image/png"}


@dataclass(frozen=True)
class Kind:
    """One kind of file: who may have it, and how it is sent."""

    action: Action
    suffixes: tuple[str, ...]
    download: bool = False
    kept: bool = False
    """Its content never changes under its name: the browser may keep it."""


KINDS: dict[str, Kind] = {
    "thumb": Kind("look", (".webp",), kept=True),
    "drawing": Kind("look", (".webp",), kept=True),
    "preview": Kind("look", (".webp", ".png"), kept=True),
    "picture": Kind("download_picture", (".png",), kept=True),
    "lora": Kind("download_lora", (".safetensors",), download=True),
    "export": Kind("export", (".zip",), download=True),
    "backup": Kind("backup", (".zip",), download=True),
}


def url(project: Project, kind: str, name: str, **query: str) -> str:
    """The address of a file: `name` is relative to the folder of its kind, POSIX style."""
    asked = "&".join(f"{key}={quote(value)}" for key, value in query.items())
    return f"/ksh/{project.slug}/{kind}/{quote(name)}{'?' + asked if asked else ''}"


def outgoing(project: Project, kind: str) -> Path:
    """The folder where finished zips of this project wait to be downloaded; may be deleted at any time."""
    folder = project.workspace.cache / "outgoing" / project.slug / kind
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def routes(studio: Studio) -> list[Route]:
    """The routes to put before gradio's own."""

    def send(request: Request) -> Response:
        try:
            return _file(visit_of(studio, request), **request.path_params)
        except StudioError as error:
            return PlainTextResponse(str(error), 401 if isinstance(error, LoginRequired) else 403)

    return [Route("/ksh/{slug}/{kind}/{name:path}", send)]


def _file(visit: Visit, slug: str, kind: str, name: str) -> Response:
    """Raises StudioError for what this visitor may not have."""
    found = KINDS.get(kind)
    if found is None:
        return PlainTextResponse("Not found.", 404)
    visit.need(found.action)
    project = visit.project(slug)
    path = inside(_folder(project, kind), name)
    if path.suffix not in found.suffixes or path.name.startswith(".") or not path.is_file():
        return PlainTextResponse("Not found.", 404)
    headers = {"Cache-Control": "private, max-age=31536000, immutable" if found.kept else "no-store"}
    media = KINDS_OF_PICTURE.get(path.suffix, "application/octet-stream")
    as_file = path.name if found.download else None
    return FileResponse(path, media_type=media, headers=headers, filename=as_file)


def _folder(project: Project, kind: str) -> Path:
    folders = {"thumb": project.thumbs, "drawing": project.drawings, "picture": project.pictures}
    if kind in folders:
        return folders[kind]
    return project.jobs if kind in ("preview", "lora") else outgoing(project, kind)
