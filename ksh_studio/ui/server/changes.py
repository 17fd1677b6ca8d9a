"""Answers the page's question whether there is anything new in a project, every second and for next to nothing.

The answer to `/ksh/<project>/changes?job=<id>` is a fingerprint of what the updates of the tabs show. The page sets off
these updates, which go through dozens of components, only when it is another one (`assets/js/changes.js`).
"""

import hashlib
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ksh_studio.disk import any_disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import LoginRequired, Visit, visit_of
from ksh_studio.ui.parts.messages import as_title

Version = Callable[[Visit, str, str], object]
"""Of one tab: changes with what its update shows. Takes the visit, the project's slug and the id of the job picked."""


def change_route(studio: Studio, versions: Sequence[Version]) -> Route:
    """The route that answers with one fingerprint of all of these versions."""

    def answer(request: Request) -> Response:
        try:
            visit = visit_of(studio, request)
            visit.need("look")
        except StudioError as error:
            status = 401 if isinstance(error, LoginRequired) else 403
            return JSONResponse({"title": as_title(error.sentence)}, status)
        slug, job = request.path_params["slug"], request.query_params.get("job", "")
        shown = [visit.language, visit.role, *(_version(version, visit, slug, job) for version in versions)]
        fingerprint = hashlib.sha256(repr(shown).encode("utf-8", "backslashreplace")).hexdigest()[:16]
        return PlainTextResponse(fingerprint, headers={"Cache-Control": "no-store"})

    return Route("/ksh/{slug}/changes", answer)


def _version(version: Version, visit: Visit, slug: str, job: str) -> object:
    """The version; what went wrong in place of it, so that the tab's update shows this, and its end."""
    try:
        with any_disk_errors(visit.workspace.root):
            return version(visit, slug, job)
    except StudioError as error:
        return error.text(visit.language)
    except Exception as error:  # noqa: BLE001 - the tab's update meets it too, says so and writes it to the log
        return repr(error)
