"""How many drawings a project has, and how many of them have a caption."""

from dataclasses import dataclass

from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project


@dataclass(frozen=True)
class Count:
    """Drawings in all, and those with a caption."""

    total: int
    captioned: int


def drawings_of(project: Project) -> Count:
    """The project's count, from its catalogue."""
    if not project.captions_db.is_file():
        return Count(0, 0)
    with Catalogue(project) as catalogue:
        counts = catalogue.counts()
    return Count(counts["all"], counts["all"] - counts["empty"])
