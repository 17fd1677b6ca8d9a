"""Pictures, prompts and progress as the Generate tab shows them. Pure functions to HTML."""

from collections.abc import Callable, Sequence

from ksh_studio.events import Event, Failed, Finished, Picture, Progress, Stopped, Warned
from ksh_studio.generation.pictures.recipe import Recipe
from ksh_studio.generation.prompt.parse import Parsed, ParsedPrompts
from ksh_studio.locales import Language, translate
from ksh_studio.ui.parts.events import event_bar, event_note
from ksh_studio.ui.parts.markup import Html, chips, large_picture, note, notes, picture_grid, weighted_chip

MOST_PICTURES = 120
MOST_FRAGMENTS = 60
MOST_CHARACTERS = 120
"""A chip shows no more of a fragment."""


def gallery(names: Sequence[str], address: Callable[[str], str], language: Language) -> Html:
    """The newest of the pictures, as buttons. `address` gives the URL of a picture by its name."""
    if not names:
        return note(translate("generate_tab.empty", language))
    older = len(names) - MOST_PICTURES
    newest = picture_grid((name, address(name)) for name in names[:MOST_PICTURES])
    return notes([newest, note(translate("generate_tab.more", language, count=older))]) if older > 0 else newest


def picture_with_recipe(address: str, name: str, parameters: str, language: Language) -> Html:
    """One picture large, with its recipe as text and a link that downloads it."""
    return large_picture(address, name, parameters, translate("ui.download", language))


def restored_note(recipe: Recipe, base: str, language: Language) -> Html:
    """What of a dropped picture's recipe is in the form by now, and what could not be taken.

    base: the name of the project's base model, as recipes have it.
    """
    parts = []
    if recipe.not_taken:
        fields = ", ".join(f"{name}: {value}" for name, value in recipe.not_taken)
        parts.append(note(translate("generate_tab.not_taken", language, fields=fields), "warn"))
    if recipe.model and recipe.model != base:
        parts.append(note(translate("generate_tab.other_model", language, model=recipe.model, base=base), "warn"))
    return notes(parts or [note(translate("generate_tab.restored", language), "good")])


def prompt_explanation(prompts: ParsedPrompts, language: Language) -> Html:
    """The prompt as fragments with their weights, then every hint and note about both prompts."""
    fragments = [_fragments(prompts.positive)] if prompts.positive.weighted or prompts.positive.loras else []
    return notes([*fragments, *(note(sentence.text(language), "warn") for sentence in prompts.sentences())])


def _fragments(parsed: Parsed) -> Html:
    labels = []
    for fragment in parsed.fragments[:MOST_FRAGMENTS]:
        text = fragment.text.strip(" ,")[:MOST_CHARACTERS]
        if fragment.is_break:
            labels.append(weighted_chip("BREAK"))
        elif text:
            labels.append(weighted_chip(text, "" if fragment.weight == 1.0 else f"{fragment.weight:g}"))
    labels += [weighted_chip(tag.name, f"{tag.unet:g}", "lora") for tag in parsed.loras]
    return chips(labels)


def generating_state(event: Event, language: Language) -> Html | None:
    """What the line above the gallery says after an event; None where it stays as it is."""
    match event:
        case Progress() | Picture():
            return event_bar(event, language)
        case Finished() | Stopped() | Failed():
            return event_note(event, language)
        case Warned():
            return Html()
    return None
