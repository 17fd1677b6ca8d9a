"""Settings form and config: one field of `config.py` becomes one component, and back. No list of widget values."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

import gradio as gr
from annotated_types import Ge
from gradio.blocks import Block
from pydantic.fields import FieldInfo

from ksh_studio.config import ALL_CONFIGS, C, Config
from ksh_studio.errors import validated
from ksh_studio.locales import sentences
from ksh_studio.ui.parts.languages import page_text

Field = gr.Textbox | gr.Number | gr.Slider | gr.Checkbox | gr.Dropdown
Form = dict[str, Field]
"""The components of settings, by the setting's name."""


def field(stage: str, name: str, **options: Any) -> Field:
    """The component of one setting, with its label, explanation, bounds and default from `config.py`.

    `options` go to the component. A setting that may be None is an input that may be left empty.
    """
    info = ALL_CONFIGS[stage].model_fields[name]
    kind, _ = _kind(info)
    key = f"settings.{stage}.{name}"
    about = f"ui.{name}.about" if f"ui.{name}.about" in sentences("en") else f"{key}.info"
    shared: dict[str, Any] = {
        "label": page_text(key),
        "info": page_text(about),
        "elem_id": f"{stage}-{name.replace('_', '-')}",
    }
    if kind is bool:
        return gr.Checkbox(value=info.default, **shared | options)
    if get_origin(kind) is Literal:
        return gr.Dropdown(choices=_choices(name, get_args(kind)), value=info.default, **shared | options)
    if kind in (int, float):
        return _number(info, kind, shared | options)
    many = get_origin(kind) is tuple
    text = "\n".join(info.default) if many else info.default
    return gr.Textbox(value=text or "", **{"lines": 3 if many else 1} | shared | options)


def fields(stage: str, *names: str) -> Form:
    """The components of several settings, by name, in the order given."""
    return {name: field(stage, name) for name in names}


def form_inputs(form: Form) -> dict[str, Block]:
    """The form as an event's `inputs_kwargs`: each value comes to the handler under its setting's name."""
    return dict(form)


def config_from(config: type[C], values: Mapping[str, object]) -> C:
    """The config from what the form holds.

    A number may come as text. What is empty is None where the setting may be None; else an empty text is an empty text,
    and an empty number its default.
    Raises StudioError for a value out of its bounds.
    """
    read = {name: _read(config.model_fields[name], value) for name, value in values.items()}
    return validated(config, read)


def open_fields(stage: str, names: Iterable[str]) -> list[str]:
    """Those of the settings that may be left empty: a number which then is somebody else's choice."""
    infos = ALL_CONFIGS[stage].model_fields
    return [name for name in names if _kind(infos[name])[1] and _kind(infos[name])[0] in (int, float)]


def placeholders(config: Config, names: Iterable[str]) -> dict[str, gr.Textbox]:
    """Shows in the empty fields what will be used: the numbers of a config with everything filled in."""
    values = {name: getattr(config, name) for name in names}
    return {name: gr.Textbox(placeholder="" if value is None else _text(value)) for name, value in values.items()}


def form_values(config: Config, names: Iterable[str]) -> dict[str, Any]:
    """What the components of these settings show for a config, by name."""
    return {name: _shown(type(config).model_fields[name], getattr(config, name)) for name in names}


def _read(info: FieldInfo, value: Any) -> Any:
    kind, may_be_none = _kind(info)
    if get_origin(kind) is tuple:
        lines = value if isinstance(value, tuple) else str(value or "").splitlines()
        return tuple(line.strip() for line in lines if line.strip())
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None if may_be_none else "" if kind is str else info.default
    if kind in (int, float) and isinstance(value, str):
        return _number_in(value)
    return int(value) if kind is int and isinstance(value, float) and value.is_integer() else value


def _number_in(text: str) -> Any:
    """The number typed, or the text itself, which the config then refuses by name."""
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "e" not in text.lower() and "." not in text else number


def _shown(info: FieldInfo, value: Any) -> Any:
    if isinstance(value, tuple):
        return "\n".join(value)
    kind, may_be_none = _kind(info)
    if kind in (int, float) and may_be_none:
        return "" if value is None else _text(value)
    return value


def _kind(info: FieldInfo) -> tuple[Any, bool]:
    """The setting's type without None, and whether None is one of its values."""
    parts = get_args(info.annotation) if get_origin(info.annotation) not in (Literal, tuple) else ()
    if type(None) not in parts:
        return info.annotation, False
    return next(part for part in parts if part is not type(None)), True


def _choices(name: str, values: tuple[str, ...]) -> list[tuple[Any, str]]:
    known = sentences("en")
    return [(page_text(key) if (key := f"ui.{name}.{value}") in known else value, value) for value in values]


def _number(info: FieldInfo, kind: type, options: dict[str, Any]) -> Field:
    """A number's component; its bounds are checked by the config, whose sentences are in the visitor's language.

    gradio's own number field turns "empty" into 0 when the page opens, so a number that may be None is a line of text.
    """
    if "step" in options and "maximum" in options:
        return gr.Slider(value=info.default, **{"minimum": _lowest(info)} | options)
    if _kind(info)[1]:
        text = "" if info.default is None else _text(info.default)
        typed = gr.InputHTMLAttributes(spellcheck=False, autocomplete="off")
        return gr.Textbox(value=text, max_lines=1, html_attributes=typed, **options)
    return gr.Number(value=info.default, **({"precision": 0} if kind is int else {}) | options)


def _lowest(info: FieldInfo) -> float | None:
    bounds = (bound.ge for bound in info.metadata if isinstance(bound, Ge))
    return next((bound for bound in bounds if isinstance(bound, int | float)), None)


def _text(number: float) -> str:
    return repr(number).removesuffix(".0")
