"""Marks on the fields of `config.py`, and the lists of settings that are made from them.

A list of settings' names kept by hand forgets the setting that was added last. So every field says by its mark where it
stands in the form and what it affects, and whoever needs a list asks here for it. Lists are in the order of the fields.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pydantic import BaseModel

Group = Literal[
    "project", "preset", "plain", "previews", "amounts", "drawings", "lora", "text", "optimiser", "machine",
    "wording", "prompts", "style", "sampling", "pictures", "size",
]  # fmt: skip
"""Where a setting stands in the form of its tab. Not in the form: "project" (the project's own), "preset" (set by
choosing a preset)."""
Affects = Literal["step", "run", "result"]
"""step: how long one step of a training takes; run: what a training takes in another way, or perhaps; result: neither
its time nor its memory, so that what was measured with another value still holds."""


@dataclass(frozen=True)
class Mark:
    """What a setting says of itself besides its type, bounds and default."""

    group: Group
    affects: Affects = "run"
    by_base: bool = False
    """Left open, it is filled in as the base model, or the number of drawings, asks for."""
    from_lora: bool = False
    """Left open in a training that goes on from a LoRA file: it comes from that file."""
    metadata: str = ""
    """Its key, without `ss_`, in the metadata of a LoRA file, which holds the value as it is."""


def marks(config: "type[BaseModel]") -> dict[str, Mark]:
    """The mark of each setting of a config, by name. Raises LookupError for a field that has none."""
    by_name = {}
    for name, field in config.model_fields.items():
        mark = next((mark for mark in field.metadata if isinstance(mark, Mark)), None)
        if mark is None:
            raise LookupError(f"{config.__name__}.{name} has no mark")
        by_name[name] = mark
    return by_name


def in_group(config: "type[BaseModel]", *groups: Group) -> tuple[str, ...]:
    """Names of the settings of these groups, one group after the other."""
    return tuple(name for group in groups for name, mark in marks(config).items() if mark.group == group)


def affecting(config: "type[BaseModel]", affects: Affects) -> tuple[str, ...]:
    """Names of the settings that affect the duration of a step, the run in another way, or the result alone."""
    return tuple(name for name, mark in marks(config).items() if mark.affects == affects)


def by_base(config: "type[BaseModel]") -> tuple[str, ...]:
    """Names of the settings that the base model or the number of drawings fills in."""
    return tuple(name for name, mark in marks(config).items() if mark.by_base)


def from_lora(config: "type[BaseModel]") -> tuple[str, ...]:
    """Names of the settings that come from the LoRA file from which a training goes on."""
    return tuple(name for name, mark in marks(config).items() if mark.from_lora)


def metadata_keys(config: "type[BaseModel]") -> dict[str, str]:
    """Key in a LoRA file's metadata by the name of the setting that stands there as it is."""
    return {name: mark.metadata for name, mark in marks(config).items() if mark.metadata}
