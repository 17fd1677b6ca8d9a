"""The alphas that diffusers and peft keep beside a LoRA's tensors instead of among them (no torch).

diffusers puts peft's settings of both models into the metadata, as JSON under `lora_adapter_metadata`, with the model's
name in front of each key when it saves a pipeline. peft itself writes them to `adapter_config.json` beside
`adapter_model.safetensors`. In both, the change is multiplied by lora_alpha / r, or by lora_alpha / sqrt(r).
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from ksh_studio.lora.file.names import Component
from ksh_studio.lora.file.spellings import component_of, module_name, module_path

METADATA_KEY = "lora_adapter_metadata"
PEFT_FILE = "adapter_model.safetensors"
PEFT_SETTINGS = "adapter_config.json"
SETTINGS_LIMIT = 2**20
"""Bytes of peft's own file of settings."""


def saved_settings(path: Path, metadata: Mapping[str, str]) -> dict[str, object]:
    """Peft's settings from the file's metadata, or from the file that peft writes beside; empty where there are none.

    Settings that cannot be read count as none: the tensors are sound without them.
    """
    text = metadata.get(METADATA_KEY, "")
    beside = path.with_name(PEFT_SETTINGS)
    try:
        if not text and path.name == PEFT_FILE and beside.is_file() and beside.stat().st_size <= SETTINGS_LIMIT:
            text = beside.read_text(encoding="utf-8")
        settings = json.loads(text) if text else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def saved_alphas(settings: Mapping[str, object], ranks: Mapping[str, int], keys: Iterable[str]) -> dict[str, float]:
    """The alpha of every module that the settings speak of, by its kohya name.

    ranks: of the modules, by kohya name. keys: of the file's tensors, since the settings name modules by their paths.
    """
    alphas: dict[str, float] = {}
    for key in keys:
        component, module = component_of(key), module_name(key)
        if component is None or module not in ranks or module in alphas:
            continue
        of_model = _of_model(settings, component)
        alpha = _alpha(of_model, module_path(key))
        if alpha is not None:
            alphas[module] = alpha * math.sqrt(ranks[module]) if of_model.get("use_rslora") is True else alpha
    return alphas


def _of_model(settings: Mapping[str, object], component: Component) -> dict[str, object]:
    """The settings of one model: those with its name in front, or all when none has a name in front."""
    if "lora_alpha" in settings:
        return dict(settings)
    start = f"{component}."
    return {key.removeprefix(start): value for key, value in settings.items() if key.startswith(start)}


def _alpha(settings: Mapping[str, object], path: str) -> float | None:
    """The alpha of the module at `path`; None when the settings do not give one.

    peft takes the keys of `alpha_pattern` as regular expressions for the end of the path. The files have plain paths
    there, and an expression from a stranger's file is not run.
    """
    pattern = settings.get("alpha_pattern")
    for key, value in pattern.items() if isinstance(pattern, dict) else ():
        end = str(key).removeprefix("^").removesuffix("$").replace("\\.", ".")
        if path == end or path.endswith(f".{end}"):
            return _number(value)
    return _number(settings.get("lora_alpha"))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        return None
    return float(value)
