"""The settings as a Markdown table for the README, made from `config.py`; a test holds that the README shows it."""

from ksh_studio.config import TrainConfig
from ksh_studio.presets import TRAIN_PRESETS


def settings_table() -> str:
    """Every setting of training: its option, what it means, the studio's default and the original's value."""
    lines = ["| option of `train` | meaning | studio | original |", "|---|---|---|---|"]
    original = TRAIN_PRESETS["original"]
    for name, field in TrainConfig.model_fields.items():
        default, meaning = field.get_default(), (field.description or "").replace("|", "\\|")
        preset_value = _as_text(original[name]) if name in original else ""
        lines.append(
            f"| `--{name.replace('_', '-')}` | {field.title}: {meaning} | {_as_text(default)} | {preset_value} |"
        )
    return "\n".join(lines)


def _as_text(value: object) -> str:
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, tuple):
        return "; ".join(value)
    return "on" if value is True else "off" if value is False else f"{value}"
