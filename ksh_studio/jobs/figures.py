"""Amounts as people read them, on the page and on the terminal: times, sizes, losses."""

from datetime import datetime, timedelta

from ksh_studio.locales import Language, translate

LAST_MOMENT = 32_503_680_000
"""Unix seconds; the year 3000."""


def duration(seconds: float, language: Language) -> str:
    """A length of time in words: the two largest units."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return translate("figures.hours", language, hours=hours, minutes=minutes)
    if minutes:
        return translate("figures.minutes", language, minutes=minutes, seconds=rest)
    return translate("figures.seconds", language, seconds=rest)


def roughly(seconds: float, language: Language) -> str:
    """A predicted time: whole minutes once there are any."""
    if 60 <= seconds < 3600:
        return translate("figures.about_minutes", language, minutes=max(1, round(seconds / 60)))
    return translate("figures.about", language, time=duration(seconds, language))


def moment(time: float, language: Language, now: float | None = None) -> str:
    """When something was, in this machine's time of day: "today 05:54", "yesterday 23:10", "2026-11-24 18:02".

    time, now: Unix seconds; now None: this moment. Times that no file can have count as the nearest that one can.
    """
    then = datetime.fromtimestamp(min(max(time, 0), LAST_MOMENT))
    today = datetime.now() if now is None else datetime.fromtimestamp(now)
    clock = f"{then:%H:%M}"
    if then.date() == today.date():
        return translate("figures.today", language, clock=clock)
    if then.date() == today.date() - timedelta(days=1):
        return translate("figures.yesterday", language, clock=clock)
    return f"{then:%Y-%m-%d} {clock}"


def size(megabytes: float) -> str:
    """An amount of memory or disk: "12 kB", "640 MB", "1.9 GB"."""
    if 0 < megabytes < 1:
        return f"{1000 * megabytes:.0f} kB"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def share(part_mb: float, whole_mb: float, language: Language) -> str:
    """How much of a memory or disk is needed, both in the unit that suits the whole: "0.8 of 25 GB"."""
    divisor, unit = (1000, "GB") if whole_mb >= 1000 else (1, "MB")
    part, whole = amount(part_mb / divisor), amount(whole_mb / divisor)
    return translate("figures.share", language, part=part, whole=whole, unit=unit)


def loss_figure(loss: float) -> str:
    """A loss as every place shows it: four decimals."""
    return f"{loss:.4f}"


def amount(value: float) -> str:
    """Whole from ten on, else one decimal; a tiny amount keeps its first figure instead of becoming nothing."""
    if 0 < value < 0.05:
        return f"{value:.1g}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
