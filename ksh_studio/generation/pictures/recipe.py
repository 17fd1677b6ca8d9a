"""The recipe in a picture file: A1111's `parameters` text for all programs, and JSON that the studio reads exactly.

Both are text chunks of the PNG. The fields of A1111's text are in the order in which A1111 writes them. No torch.
"""

import io
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from PIL import Image, PngImagePlugin
from pydantic import ValidationError

from ksh_studio import __version__
from ksh_studio.config import GenerateConfig, Sampler, Schedule, SettledGeneration
from ksh_studio.errors import StudioError
from ksh_studio.models.registry import BaseEntry, has_name

OWN_CHUNK = "ksh_studio"
A1111_CHUNK = "parameters"
NEGATIVE = "Negative prompt:"
PIECE = re.compile(r"(?:[^,\"]++|\"(?:\\.|[^\\\"])*+\"|\")++")
"""The text between two commas that are not inside a JSON string."""
NAME = re.compile(r"[\w\-/][\w \-/]++")
LONGEST_LINE = 10_000
"""A line of fields has a few hundred characters; a line longer than this is not read as one."""
QUOTED = re.compile(r"[,:\n]")
FEWEST_PAIRS = 3
MOST_PIXELS = 64_000_000
SIDES = re.compile(r"(\d{1,6})x(\d{1,6})")
FIELDS = {
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    "num_inference_steps": "Steps",
    "sampler": "Sampler",
    "schedule": "Schedule type",
    "guidance_scale": "CFG scale",
    "seed": "Seed",
    "width": "Size",
    "height": "Size",
    "clip_skip": "Clip skip",
}
"""What A1111 calls the settings of one picture."""
NO_SETTINGS = {"Model", "Model hash", "Lora hashes", "TI hashes", "Hashes", "Version", "Pad conds", "RNG: CPU"}
"""Fields, or fields with a value, of which nothing is missing in a request that does not have them."""
MOST_NOT_TAKEN = 12
LONGEST_VALUE = 80
"""Fields that are named when they could not be taken, and characters of each; the file may be anybody's."""


@dataclass(frozen=True)
class RecipeDetails:
    """The values in a recipe that are not settings of the request."""

    model: str
    """The name of the base model without owner, folder and ending."""
    model_hash: str
    """The SHA-256 of its weights, 64 hex digits."""
    loras: dict[str, str]
    """The AutoV3 hash (12 hex digits) of each LoRA, by the LoRA's name."""
    lora_tags: str = ""
    """LoRA tags to add to the prompt, for programs that take LoRAs only from the prompt."""
    padded: bool = False
    """Whether the shorter of the two prompts was lengthened with the encoded empty prompt."""


@dataclass(frozen=True)
class Recipe:
    """The recipe that a picture file holds."""

    parameters: str
    """A1111's text as it is in the file; empty when there is none."""
    config: GenerateConfig
    exact: bool
    """Whether `config` comes from the studio's JSON; otherwise it holds what A1111's text says."""
    model: str = ""
    """The name of the base model that the picture was drawn with; empty when the file does not say."""
    not_taken: tuple[tuple[str, str], ...] = ()
    """Name and value of A1111's fields that change the picture and of which `config` has nothing."""


def model_name(entry: BaseEntry) -> str:
    """The name of the base model for a recipe, without owner, folder and ending."""
    return entry.name.rpartition("/")[2] if has_name(entry) else entry.label


def shareable(request: SettledGeneration, entry: BaseEntry) -> SettledGeneration:
    """The request without the base model when that is a path on this machine: pictures are shared with others."""
    return request if has_name(entry) else request.model_copy(update={"base_model": ""})


def parameters_text(request: SettledGeneration, seed: int, details: RecipeDetails) -> str:
    """A1111's text for one picture of a request."""
    lines = [_one_paragraph(request.prompt) + details.lora_tags]
    if request.negative_prompt:
        lines.append(f"{NEGATIVE} {_one_paragraph(request.negative_prompt)}")
    fields = {
        "Steps": request.num_inference_steps,
        "Sampler": request.sampler,
        "Schedule type": request.schedule,
        "CFG scale": f"{request.guidance_scale:g}",
        "Seed": seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": details.model_hash[:10],
        "Model": details.model,
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        "RNG": "CPU",
        "Lora hashes": ", ".join(f"{re.sub('[:,]', '', name)}: {hash_}" for name, hash_ in details.loras.items()),
        "Pad conds": "True" if details.padded else None,
        "Version": f"KSH Studio {__version__}",
    }
    lines.append(", ".join(f"{name}: {_value(value)}" for name, value in fields.items() if value not in (None, "")))
    return "\n".join(lines)


def to_png(picture: Image.Image, request: SettledGeneration, seed: int, details: RecipeDetails) -> bytes:
    """The picture as a PNG file with its recipe."""
    text = PngImagePlugin.PngInfo()
    text.add_text(A1111_CHUNK, parameters_text(request, seed, details))  # iTXt where it is not Latin-1
    record = {"version": __version__, "seed": seed, "config": request.model_dump(mode="json"), "facts": asdict(details)}
    text.add_itxt(OWN_CHUNK, json.dumps(record, ensure_ascii=False))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def read_recipe(path: Path) -> Recipe:
    """Read the recipe in a PNG file: all settings of a picture of the studio, and what it knows of another program's.

    The settings are those for this one picture, with a batch_size of 1 and its seed.
    Raises StudioError when the file is no PNG or holds no recipe.
    """
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise StudioError("generate.no_picture", name=path.name)
            picture.load()
            chunks = dict(picture.text) if isinstance(picture, PngImagePlugin.PngImageFile) else {}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise StudioError("generate.no_picture", name=path.name) from error
    parameters = chunks.get(A1111_CHUNK, "")
    recorded = _recorded(chunks.get(OWN_CHUNK, ""), parameters)
    if recorded is not None:
        return recorded
    if not parameters:
        raise StudioError("generate.no_recipe", name=path.name)
    return read_parameters(parameters)


def read_parameters(parameters: str) -> Recipe:
    """The settings in A1111's text; one that is missing, unknown or out of bounds keeps its default.

    What the text has beyond them is named in `not_taken`.
    """
    prompt, negative, fields = split_parameters(parameters)
    values: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative} | _settings(fields)
    while True:
        try:
            config = GenerateConfig.model_validate(values)
            break
        except ValidationError as error:
            for problem in error.errors():
                values.pop(str(problem["loc"][0]), None)
    named = {"Prompt": prompt, "Negative prompt": negative} | fields
    taken = {FIELDS[name] for name in values} - {"Size" for name in ("width", "height") if name not in values}
    not_taken = [
        (name, value[:LONGEST_VALUE])
        for name, value in named.items()
        if name not in taken and value and not {name, f"{name}: {value}"} & NO_SETTINGS
    ]
    return Recipe(parameters, config, False, fields.get("Model", "")[:LONGEST_VALUE], tuple(not_taken[:MOST_NOT_TAKEN]))


def split_parameters(parameters: str) -> tuple[str, str, dict[str, str]]:
    """Split A1111's text into prompt, negative prompt and fields."""
    lines = parameters.strip().split("\n")
    fields = _fields(lines[-1])
    if len(fields) < FEWEST_PAIRS:
        fields = {}
    else:
        lines.pop()
    start = next((n for n, line in enumerate(lines) if line.startswith(NEGATIVE)), len(lines))
    negative = "\n".join(lines[start:]).removeprefix(NEGATIVE)
    return "\n".join(lines[:start]).strip(), negative.strip(), fields


def _fields(line: str) -> dict[str, str]:
    """The `name: value` pairs of a line."""
    fields = {}
    for piece in PIECE.findall(line) if len(line) <= LONGEST_LINE else ():
        name, colon, value = piece.partition(":")
        if colon and NAME.fullmatch(name.strip()):
            fields[name.strip()] = _unquoted(value.strip())
    return fields


def _settings(fields: dict[str, str]) -> dict[str, Any]:
    """The fields of A1111's text under the names of the studio's settings, not yet validated."""
    sampler, schedule = _sampler(fields.get("Sampler", ""), fields.get("Schedule type", "Automatic"))
    size = SIDES.fullmatch(fields.get("Size", ""))
    values = {
        "num_inference_steps": fields.get("Steps"),
        "sampler": sampler,
        "schedule": schedule,
        "guidance_scale": fields.get("CFG scale"),
        "seed": fields.get("Seed"),
        "width": size.group(1) if size else None,
        "height": size.group(2) if size else None,
        "clip_skip": fields.get("Clip skip", "1"),
    }
    return {name: value for name, value in values.items() if value is not None}


def _sampler(name: str, schedule: str) -> tuple[str | None, str | None]:
    """The sampler and the schedule, which versions before 1.9 wrote as one: "DPM++ 2M Karras"."""
    for known in get_args(Schedule):
        if name.endswith(f" {known}"):
            name, schedule = name.removesuffix(f" {known}"), known
    if name not in get_args(Sampler):
        return None, None
    return name, schedule if schedule in get_args(Schedule) else None


def _recorded(chunk: str, parameters: str) -> Recipe | None:
    """The recipe in the studio's JSON; None when it is missing or damaged, or has settings that are not valid."""
    try:
        record = json.loads(chunk)
        config = GenerateConfig.model_validate(record["config"] | {"seed": record["seed"], "batch_size": 1})
        return Recipe(parameters, config, True, str(record["facts"]["model"])[:LONGEST_VALUE])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _one_paragraph(prompt: str) -> str:
    """Join a line that begins with "Negative prompt:" to the one before: it would end the prompt for every reader."""
    return re.sub(rf"\n\s*(?={NEGATIVE})", " ", prompt)


def _value(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if QUOTED.search(text) else text


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value
