"""Events as lines for a terminal."""

from typing import Any

from ksh_studio.events import (
    Captioned,
    Checkpoint,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Imported,
    LoraSaved,
    Paused,
    Picture,
    Planned,
    Preview,
    Progress,
    Resumed,
    Scored,
    Started,
    Step,
    Stopped,
    Validated,
    Warned,
)
from ksh_studio.locales import Language, translate


def describe(event: Event, language: Language) -> str | None:
    """One line for a person, or None where silence says more."""
    match event:
        case Heartbeat() | Progress():
            return None
        case Warned() | Stopped() | Paused() | Failed() | Finished():
            return event.text(language)
        case Imported():
            left_out = [f"  {name} = {kept}" for name, kept in event.duplicates]
            left_out += [f"  {name}: {translate(key, language)}" for name, key in event.unreadable]
            left_out += [f"  {name}: {translate('import.gone', language)}" for name in event.gone]
            values = event.model_dump(include={"added", "known", "captions"})
            return "\n".join([translate("cli.imported", language, **values), *left_out])
        case Step():
            if event.step % max(1, event.total // 20) and event.step != event.total:
                return None
            return translate("cli.step", language, **_rounded(event))
        case Planned():
            minutes = f"{event.seconds / 60:.1f}"
            return translate("cli.planned", language, **_rounded(event) | {"minutes": minutes})
        case (
            Started()
            | Captioned()
            | Validated()
            | Scored()
            | Preview()
            | Checkpoint()
            | LoraSaved()
            | Picture()
            | Resumed()
        ):
            return translate(f"cli.{event.kind}", language, **_rounded(event))


def _rounded(event: Event) -> dict[str, Any]:
    values = event.model_dump()
    return {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in values.items()}
