"""The plan of a training as the page shows it: one sentence, what is to be warned of, and the figures under Details."""

from ksh_studio.config import SettledTraining
from ksh_studio.events import Planned
from ksh_studio.jobs.figures import amount, roughly, share, size
from ksh_studio.locales import Language, Sentence, translate
from ksh_studio.models.registry import base_entry
from ksh_studio.training.plan.estimate import Estimate
from ksh_studio.training.plan.settle import per_step
from ksh_studio.ui.parts.markup import Html, element, figures, fold, note


def plan_card(
    cost: Estimate,
    config: SettledTraining,
    planned: Planned | None,
    language: Language,
    changes: tuple[Sentence, ...] = (),
) -> Html:
    """The plan in one sentence, measured where that was done; then what a preset had to change and what does not fit.

    planned: what a check of these very settings and drawings measured.
    """
    seconds = cost.seconds if planned is None else planned.seconds
    blocks = [element("p", _sentence(cost, seconds, language), class_="ksh-plan-line")]
    blocks += [note(change.text(language), "warn") for change in changes]
    if cost.disk_mb > cost.disk_free_mb:
        blocks.append(note(translate("train_tab.disk_short", language), "bad"))
    if planned is not None:
        blocks.append(_adjusted(config, planned, language))
    table = figures(_rows(cost, config, planned, seconds, language))
    blocks.append(fold(translate("train_tab.details", language), table, name="plan"))
    return element("div", *blocks, class_="ksh-plan")


def _sentence(cost: Estimate, seconds: float | None, language: Language) -> str:
    """Such as "52 drawings, about 12 min, 191 MB on the disk. 6 more are kept aside to measure."."""
    steps = translate("train_tab.steps", language, steps=cost.steps)
    time = steps if seconds is None else roughly(seconds, language)
    drawings = "train_tab.plan" if cost.drawings > 1 else "train_tab.plan_of_one"
    parts = [translate(drawings, language, drawings=cost.drawings, time=time, disk=size(cost.disk_mb))]
    if cost.held_out:
        aside = "train_tab.plan_aside" if cost.held_out > 1 else "train_tab.plan_one_aside"
        parts.append(translate(aside, language, count=cost.held_out))
    if seconds is None:
        parts.append(translate("train_tab.plan_time", language))
    return " ".join(parts)


def _rows(
    cost: Estimate, config: SettledTraining, planned: Planned | None, seconds: float | None, language: Language
) -> list[tuple[str, str, str]]:
    """Drawings, sizes, steps, time, memory, disk and base model, each with what else there is to say."""

    def say(key: str, **values: object) -> str:
        return translate(f"train_tab.{key}", language, **values)

    unknown = say("unmeasured")
    memory = "–" if planned is None else share(planned.memory_mb, planned.memory_total_mb, language)
    held = say("held_out", count=cost.held_out) if cost.held_out else ""
    return [
        (say("row_drawings"), str(cost.drawings), held),
        (say("row_sizes"), *_sizes(cost.buckets, language)),
        (say("row_steps"), say("steps_of", steps=cost.steps, batch=per_step(config)),
         _epochs(cost.epochs, language)),
        (say("row_time"), "–" if seconds is None else roughly(seconds, language),
         unknown if seconds is None else say("measured") if planned is not None else say("from_before")),
        (say("row_memory"), memory, unknown if planned is None else say("measured")),
        (say("row_disk"), size(cost.disk_mb), say("free", size=size(cost.disk_free_mb))),
        (say("row_model"), base_entry(config.base_model).label,
         say("numbers", rank=config.rank, rate=f"{config.learning_rate:.2g}")),
    ]  # fmt: skip


def _epochs(epochs: float, language: Language) -> str:
    """How often each drawing is seen; with a decimal where the whole number would say something else."""
    if round(epochs, 1) == 1:
        return translate("train_tab.epochs_once", language)
    return translate("train_tab.epochs", language, epochs=amount(epochs).removesuffix(".0"))


def _sizes(buckets: tuple[tuple[int, int, int], ...], language: Language) -> tuple[str, str]:
    """The commonest size, and the others with their numbers of drawings."""
    if len(buckets) < 2:
        return next((f"{width}×{height}" for width, height, _ in buckets), "–"), ""
    others = ", ".join(f"{width}×{height} ({count})" for width, height, count in buckets[:4])
    more = f" +{len(buckets) - 4}" if len(buckets) > 4 else ""
    return translate("train_tab.shapes", language, count=len(buckets)), others + more


def _adjusted(config: SettledTraining, planned: Planned, language: Language) -> Html:
    """What was changed so that it fits into the memory."""
    changes = []
    if planned.train_batch_size != config.train_batch_size:
        changes.append(translate("train_tab.adjusted_batch", language, batch=planned.train_batch_size))
    if planned.split > 1:
        changes.append(translate("train_tab.adjusted_split", language, parts=planned.split))
    if planned.gradient_checkpointing and not config.gradient_checkpointing:
        changes.append(translate("train_tab.adjusted_checkpointing", language))
    if not changes:
        return note(translate("train_tab.fits", language), "good")
    return note(translate("train_tab.adjusted", language, what=", ".join(changes)), "warn")
