"""Options of the command line for the settings of a stage: one each, made from its class."""

import argparse
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from ksh_studio.config import C, Config
from ksh_studio.errors import validated

Presets = Mapping[str, Mapping[str, Any]]
"""Settings to begin with, by the preset's name."""


def settings_options(parser: argparse.ArgumentParser, config: type[Config], presets: Presets) -> None:
    """One option for every setting of a stage, made from its class."""
    if presets:
        parser.add_argument("--preset", choices=tuple(presets), help="settings to begin with; others win over it")
    for name, field in config.model_fields.items():
        kind = _base_type(field.annotation)
        options: dict[str, Any] = {"dest": f"set_{name}", "default": None, "help": field.description}
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif get_origin(kind) is Literal:
            options["choices"] = get_args(kind)
        elif get_origin(kind) is tuple:
            options["action"] = "append"
        else:
            options["metavar"] = kind.__name__.upper()
        parser.add_argument(f"--{name.replace('_', '-')}", **options)


def _base_type(annotation: Any) -> Any:  # annotations have no common type
    if isinstance(annotation, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not type(None))
    return annotation


def settings_of(arguments: argparse.Namespace, config: type[C], presets: Presets) -> C:
    """The config of what was typed, over the preset, if one was named.

    Raises StudioError for a setting that is out of its bounds.
    """
    given = {name: getattr(arguments, f"set_{name}") for name in config.model_fields}
    typed = {name: _typed(config, name, value) for name, value in given.items() if value is not None}
    return validated(config, {**presets.get(getattr(arguments, "preset", None) or "", {}), **typed})


def _typed(config: type[Config], name: str, value: object) -> object:
    """What was typed for a setting; `none` is None where the setting may be None, else the word."""
    return None if value == "none" and type(None) in get_args(config.model_fields[name].annotation) else value
