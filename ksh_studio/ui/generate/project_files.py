"""What the Generate tab reads from a project's disk: its pictures, the LoRA files that it can use, a first prompt."""

from ksh_studio.errors import StudioError
from ksh_studio.generation.pictures.gallery import pictures_of
from ksh_studio.generation.prompt.parse import escaped
from ksh_studio.lora.file.header import LoraHeader
from ksh_studio.lora.listing import find_lora, list_loras, path_in_workspace
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project


def picture_names(project: Project) -> list[str]:
    """The pictures, newest first, each as its path in the project's folder of pictures, POSIX style."""
    return [picture.path.relative_to(project.pictures).as_posix() for picture in pictures_of(project)]


def known_picture(project: Project, name: str) -> str:
    """The name of a picture of this project. Raises StudioError when there is no such picture."""
    if name not in picture_names(project):
        raise StudioError("generate_tab.no_picture", name=str(name)[:100])
    return name


def usable_loras(project: Project) -> dict[str, LoraHeader]:
    """The LoRA files of the project and of the workspace, newest first, by their path in the workspace."""
    loras = list_loras(project.workspace, project)
    return {path_in_workspace(project.workspace, header): header for header in loras.usable}


def check_lora(project: Project, path: str) -> None:
    """Raises StudioError when there is no LoRA file at this path in the workspace, or it cannot be used."""
    for lora in list_loras(project.workspace, project).unreadable:
        if lora.path == path:
            raise StudioError(lora.reason.key, **lora.reason.values)
    find_lora(project.workspace, path)


def first_prompt(project: Project) -> str:
    """The project's first caption with the trigger, as a prompt; the trigger alone where none can be read.

    That the captions cannot be read is said on the Caption tab; pictures can be drawn all the same.
    """
    trigger = project.settings().trigger
    if not project.captions_db.is_file():
        return escaped(trigger.text)
    try:
        with Catalogue(project) as catalogue:
            rows = catalogue.page(limit=1, which="captioned").rows
    except StudioError:
        rows = []
    return escaped(trigger.apply(rows[0].caption if rows else ""))
