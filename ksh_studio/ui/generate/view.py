"""Pictures and prompts as the Generate tab shows them: pure functions to HTML and menus."""

from ksh_studio.errors import StudioError
from ksh_studio.generation.pictures.gallery import PictureFile, pictures_of
from ksh_studio.generation.prompt.parse import Parsed, parse_prompts
from ksh_studio.locales import Language, translate
from ksh_studio.lora.file.header import LoraHeader
from ksh_studio.lora.listing import list_loras, path_in_workspace
from ksh_studio.project.workspace import Project
from ksh_studio.ui.parts.markup import Html, chip, element, esc, joined, note, notes
from ksh_studio.ui.server.files import url

SHOWN_PICTURES = 120
SHOWN_FRAGMENTS = 60


def gallery(project: Project, language: Language) -> str:
    """The project's newest pictures, from the disk."""
    found = [_name(project, picture) for picture in pictures_of(project)]
    if not found:
        return note(translate("generate_tab.empty", language))
    cells = [
        f'<button type="button" class="ksh-picture" data-pick="{esc(name)}" title="{esc(name)}">'
        f'<img src="{esc(url(project, "picture", name))}" alt="{esc(name)}" loading="lazy"></button>'
        for name in found[:SHOWN_PICTURES]
    ]
    more = len(found) - len(cells)
    rest = note(translate("generate_tab.more", language, count=more)) if more > 0 else ""
    return f'<div class="ksh-gallery">{"".join(cells)}</div>{rest}'


def _name(project: Project, picture: PictureFile) -> str:
    return picture.path.relative_to(project.pictures).as_posix()


def lora_choices(project: Project, language: Language) -> list[tuple[str, str]]:
    """The LoRA files that the project can use, newest first, as (label, path in the workspace)."""
    found = list_loras(project.workspace, project)
    return [(translate("generate_tab.no_lora", language), "")] + [
        (_label(info), path_in_workspace(project.workspace, info)) for info in found
    ]


def _label(info: LoraHeader) -> str:
    about = [f"{info.step}" if info.step is not None else "", info.base]
    return " · ".join([info.label, *(part for part in about if part)])


def understood(prompt: str, negative: str, language: Language) -> str:
    """The prompt as fragments with their weights, with every note and hint about it."""
    prompts = parse_prompts(prompt, negative)
    chips = [_fragments(prompts.positive)] if prompts.positive.weighted or prompts.positive.loras else []
    return notes(chips + [note(sentence.text(language), "warn") for sentence in prompts.sentences()])


def _fragments(parsed: Parsed) -> str:
    chips = []
    for part in parsed.fragments[:SHOWN_FRAGMENTS]:
        if part.is_break:
            chips.append(chip("BREAK"))
        elif part.text.strip(" ,"):
            chips.append(_weighted(part.text.strip(" ,")[:120], part.weight))
    chips += [chip(joined([f"{tag.name} ", element("b", f"{tag.unet:g}")]), kind="lora") for tag in parsed.loras]
    return element("div", *chips, class_="ksh-chips")


def _weighted(text: str, weight: float) -> Html:
    return chip(text if weight == 1.0 else joined([f"{text} ", element("b", f"{weight:g}")]))


def picture_or_error(project: Project, name: str) -> str:
    """The name of a picture of this project. Raises StudioError when there is no such picture."""
    if name not in {_name(project, picture) for picture in pictures_of(project)}:
        raise StudioError("generate_tab.no_picture", name=str(name)[:100])
    return name
