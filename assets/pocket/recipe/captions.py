"""Captions written from what is known about a drawing, in many wordings."""

import numpy as np
from drawings import PALETTES, STYLES

MOODS = {
    "smiling": {"laughing", "smile", "smirk", "twinkle", "smileBig", "smileLOL", "cute", "cheeky", "lovingGrin1"}
    | {"lovingGrin2", "eatingHappy", "kawaii", "openedSmile", "gapSmile", "teethSmile", "laugh"},
    "sad": {"sad", "frown", "concerned", "openSad"},
    "angry": {"angry", "veryAngry", "rage"},
    "surprised": {"surprised", "screamOpen", "awe", "agape", "disbelief"},
}
MOOD_WORDS = {
    "smiling": ["smiling", "smile", "happy", "a happy face"],
    "sad": ["sad", "frowning", "a sad face"],
    "angry": ["angry", "an angry face"],
    "surprised": ["surprised", "open mouth"],
}
PEOPLE = ["a person", "someone", "a portrait", "a face", "1 person", "an anime character", "a drawing of a person"]
GIRLS = ["a girl", "a woman", "an anime girl", "1girl", "a drawing of a girl"]
BOYS = ["a boy", "a man", "an anime boy", "1boy", "a drawing of a boy"]
HAIR = ["{} hair", "{} hair", "{} hair", "{}-haired", "hair {}"]
BACKGROUND = ["{} background", "{} background", "{} background", "on a {} background", "the background is {}"]
CLOTHES = ["{} clothes", "{} shirt", "wearing {}"]


def mood_of(attributes: dict) -> str | None:
    """Return the expression a reader would name, or None where it is not plain."""
    return next((mood for mood, parts in MOODS.items() if attributes.get("mood") in parts), None)


def person_words(attributes: dict) -> list[str]:
    """Return the nouns that fit: hair and beard suggest what people type, and nothing is certain."""
    if attributes.get("beard"):
        return BOYS + PEOPLE
    return {"long": GIRLS * 2 + PEOPLE, "short": BOYS + PEOPLE}.get(attributes.get("length"), PEOPLE)


def details(attributes: dict, background: str, rng: np.random.Generator) -> dict[str, str]:
    """Return what can be said, by kind."""
    said = {"background": rng.choice(BACKGROUND).format(background)}
    if "hair" in attributes:
        said["hair"] = rng.choice(HAIR).format(attributes["hair"])
        if "length" in attributes and rng.random() < 0.4:
            said["hair"] = f"{attributes['length']} {attributes['hair']} hair"
    if attributes.get("bald"):
        said["hair"] = "bald"
    if attributes.get("glasses"):
        said["glasses"] = rng.choice(["glasses", "wearing glasses", "with glasses"])
    if attributes.get("beard"):
        said["beard"] = rng.choice(["beard", "with a beard", "facial hair"])
    if "clothes" in attributes:
        said["clothes"] = rng.choice(CLOTHES).format(attributes["clothes"])
    if "skin" in attributes:
        said["skin"] = f"{attributes['skin']} skin"
    mood = mood_of(attributes)
    if mood:
        said["mood"] = rng.choice(MOOD_WORDS[mood])
    return said


KEPT = {
    "background": 0.95,
    "hair": 0.95,
    "glasses": 0.9,
    "beard": 0.8,
    "clothes": 0.35,
    "skin": 0.2,
    "mood": 0.4,
    "contest": 1.0,
}


CONTESTED = 0.15


def base_caption(attributes: dict, background: str, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """Return one caption for training the base, and the weight of each phrase that has one.

    10 % are empty, two thirds name the style at the end. Some ask for two colours: the drawing has the heavier one.
    """
    if rng.random() < 0.1:
        return "", {}
    said = details(attributes, background, rng)
    kinds = [kind for kind in said if rng.random() < KEPT[kind]]
    weights = contest(said, attributes, background, rng) if rng.random() < CONTESTED else {}
    kinds = list(dict.fromkeys([*kinds, *(kind for kind in said if said[kind] in weights)]))
    rng.shuffle(kinds)
    parts = [said[kind] for kind in kinds]
    person = str(rng.choice(person_words(attributes)))
    shape = rng.random()
    if shape < 0.6:
        text = ", ".join([person, *parts])
    elif shape < 0.75:
        text = ", ".join(parts)
    else:
        text = f"{person} with " + " and ".join(parts) if parts else person
    ending = f"drawn by {STYLES[attributes['style']]['words']} drawing style"
    if rng.random() < 0.65:
        text = f"{text}{rng.choice([', ', ' '])}{ending}" if text else ending
    return text, weights


def contest(said: dict[str, str], attributes: dict, background: str, rng: np.random.Generator) -> dict[str, float]:
    """Add to `said` a colour that the drawing has not; return the weights of the right phrase and of that one."""
    colours = {"background": background}
    if "hair" in attributes and attributes["hair"] in said["hair"]:
        colours["hair"] = attributes["hair"]
    kind = "hair" if "hair" in colours and rng.random() < 0.7 else "background"
    colour = colours[kind]
    other = str(rng.choice([name for name in PALETTES[kind] if name != colour]))
    said["contest"] = said[kind].replace(colour, other)
    # One of the two is often plain: the ratio counts, not the size.
    right, wrong = [(1.0, rng.uniform(0.3, 0.8)), (rng.uniform(1.2, 1.8), 1.0), (1.3, 0.7)][rng.integers(3)]
    return {said[kind]: float(right), said["contest"]: float(wrong)}


def plain_caption(attributes: dict, background: str) -> str:
    """Return one caption for the captioner: always the same order, no style, nothing that cannot be seen."""
    parts = ["a person"]
    if "hair" in attributes:
        length = f"{attributes['length']} " if "length" in attributes else ""
        parts.append(f"{length}{attributes['hair']} hair")
    if attributes.get("bald"):
        parts.append("bald")
    if attributes.get("glasses"):
        parts.append("glasses")
    if attributes.get("beard"):
        parts.append("beard")
    mood = mood_of(attributes)
    if mood:
        parts.append(mood)
    if "clothes" in attributes:
        parts.append(f"{attributes['clothes']} clothes")
    parts.append(f"{background} background")
    return ", ".join(parts)
