"""How many drawings a project has, and how many of them have a caption."""

from dataclasses import dataclass

from ksh_studio.workspace import Project


@dataclass(frozen=True)
class Count:
    """Drawings in all, and those with a caption."""

    total: int
    captioned: int


def drawings_of(project: Project) -> Count:
    """The project's count, from its catalogue."""
    from ksh_studio.catalogue import Catalogue

    if not project.captions_db.is_file():
        return Count(0, 0)
    with Catalogue(project) as catalogue:
        captions = [drawing.caption for drawing in catalogue.drawings()]
    return Count(len(captions), sum(1 for caption in captions if caption))
