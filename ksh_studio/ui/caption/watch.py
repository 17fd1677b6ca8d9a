"""What the Caption tab shows and updates: counts, the captioning job, and the imports and exports beside it."""

from dataclasses import dataclass

from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.captioning import CaptioningParts, CaptioningShown, show_captioning
from ksh_studio.ui.caption.drawing_jobs import DrawingJobParts, DrawingJobShown, show_drawing_jobs
from ksh_studio.ui.parts.outputs import UNCHANGED, News, Unchanged, news

WRITTEN_BY_BUTTONS = ("captioning.status", "importing.status", "exporting.status")


@dataclass(frozen=True)
class CaptionTabParts:
    """The components that `poll` fills."""

    captioning: CaptioningParts
    importing: DrawingJobParts
    exporting: DrawingJobParts


@dataclass(frozen=True)
class CaptionTabShown:
    """What they show, under the same names."""

    captioning: CaptioningShown
    importing: DrawingJobShown
    exporting: DrawingJobShown


def poll(visit: Visit, slug: str, seen: dict[str, str]) -> News[dict[str, str], CaptionTabShown] | Unchanged:
    """Everything that the tab shows, as far as it has changed since what the page has seen."""
    if not slug:
        return UNCHANGED
    shown = _shown(visit, slug)
    return news(seen, shown, lambda: shown, shared=WRITTEN_BY_BUTTONS)


def version(visit: Visit, slug: str, _job_id: str) -> object:
    """Changes when anything that `poll` shows has changed."""
    return _shown(visit, slug)


def _shown(visit: Visit, slug: str) -> CaptionTabShown:
    project = visit.project(slug)
    importing = show_drawing_jobs(visit, project, "import")
    captioning = show_captioning(visit, project, importing.works)
    return CaptionTabShown(captioning, importing, show_drawing_jobs(visit, project, "export"))
