"""Figures as people read them: times, sizes, evenly thinned lists."""

from collections.abc import Sequence
from typing import TypeVar

from ksh_studio.locales import Language, translate


def duration(seconds: float, language: Language) -> str:
    """A length of time in words: the two largest units."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return translate("ui.hours", language, hours=hours, minutes=minutes)
    return translate("ui.minutes", language, minutes=minutes, seconds=rest) if minutes else (
        translate("ui.seconds", language, seconds=rest)
    )  # fmt: skip


def roughly(seconds: float, language: Language) -> str:
    """A predicted time: whole minutes once there are any."""
    if 60 <= seconds < 3600:
        return translate("train_tab.about_minutes", language, minutes=max(1, round(seconds / 60)))
    return translate("train_tab.about", language, time=duration(seconds, language))


def size(megabytes: float) -> str:
    """An amount of memory or disk: "640 MB", "1.9 GB"."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


T = TypeVar("T")


def thinned(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]
