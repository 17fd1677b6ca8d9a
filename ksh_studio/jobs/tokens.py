"""Which tokens of the artist's accounts a child process gets: those of the services that its settings name.

`spawn` keeps every token back. Nothing else of the studio passes one on, and none is written to a file, event or log.
"""

import os
from collections.abc import Callable, Mapping

from ksh_studio.errors import StudioError
from ksh_studio.models.files import needs_download
from ksh_studio.models.registry import BaseEntry, CaptionerEntry, base_entry, captioner_entry

HUB = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
WANDB = ("WANDB_API_KEY",)
MODELS: Mapping[str, Callable[[str], BaseEntry | CaptionerEntry]] = {
    "base_model": base_entry,
    "captioner": captioner_entry,
}
"""The settings that name a model, and what finds its entry."""


def tokens_for(settings: Mapping[str, object]) -> dict[str, str]:
    """The environment variables with tokens that a process with these settings needs.

    Weights & Biases has its key, trackio the Hub's when it reports to a Space (`TRACKIO_SPACE_ID`), and a download from
    the Hub the Hub's, since the model may be private or gated.
    """
    names: set[str] = set()
    tracker = settings.get("report_to")
    if tracker == "wandb":
        names.update(WANDB)
    if (tracker == "trackio" and os.environ.get("TRACKIO_SPACE_ID")) or _downloads(settings):
        names.update(HUB)
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _downloads(settings: Mapping[str, object]) -> bool:
    for setting, entry_of in MODELS.items():
        name = settings.get(setting)
        try:
            if isinstance(name, str) and name and needs_download(entry_of(name)):
                return True
        except StudioError:  # no such model: the process itself says so
            continue
    return False
