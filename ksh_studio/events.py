"""What happens while a stage works: typed events, one JSON line each.

Each stage is a generator of these. The command line prints them, a job appends them to `events.jsonl`, the page reads
that file. A path is always relative to the job's project folder, POSIX style, so that a backed-up project stays valid.
"""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ksh_studio.locales import Sentence, sentence
from ksh_studio.paths import is_plain


def _plain(path: str) -> str:
    """The path itself. Raises ValueError for one that leads out of the project."""
    if not is_plain(path):
        raise ValueError("an event names files below its project only")
    return path


ProjectPath = Annotated[str, Field(max_length=1000), AfterValidator(_plain)]
"""A path relative to the project, POSIX style. Whoever opens the file also follows links: `Project.file_at`."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things, or a step: what a float holds exactly."""
LINE_BYTES = 250_000
"""The longest line of an event: a prompt or caption of the greatest length in any script, and room for the rest."""
FILE_LIST_BYTES = 4_000_000
"""The longest line of an import, which names files."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    time: float = Field(default_factory=time.time)
    """Unix seconds at which it happened."""


class SentenceEvent(_Event, Sentence):
    """An event that consists of a sentence for the artist."""

    @classmethod
    def of(cls, sentence: Sentence) -> Self:
        """The event with this sentence."""
        return cls(key=sentence.key, values=sentence.values)

    @classmethod
    def saying(cls, key: str, **values: object) -> Self:
        """The event with the sentence `key` and these values."""
        return cls.of(sentence(key, **values))


class Started(_Event):
    """The stage begins (or begins again) with `total` units of work: drawings, steps or pictures."""

    kind: Literal["started"] = "started"
    stage: Literal["caption", "check", "train", "generate"]
    total: Count
    device: str = ""
    """Where it runs and how: "cpu, bf16"."""


class Progress(_Event):
    """Work that is not the stage's own unit: loading a model, caching latents, denoising steps of a picture."""

    kind: Literal["progress"] = "progress"
    phase: Literal["wait", "import", "export", "load", "latents", "captions", "denoise", "validate", "measure"]
    done: Count
    total: Count


class Imported(_Event):
    """What an import did, and the files that are not among the drawings; names are the artist's own."""

    kind: Literal["imported"] = "imported"
    added: Count
    known: Count
    """Drawings the project already had."""
    captions: Count
    """Captions taken over from info.csv, metadata.jsonl or .txt files."""
    duplicates: tuple[tuple[str, str], ...] = ()
    """(file left out, file of the same content kept)."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """(file left out, key of the sentence that says why)."""
    gone: tuple[str, ...] = ()
    """Drawings imported earlier that the folder no longer holds: kept."""


class Captioned(_Event):
    """One drawing has its caption, already committed."""

    kind: Literal["captioned"] = "captioned"
    drawing: str
    """The drawing's id."""
    caption: str
    done: Count
    total: Count


class Planned(_Event):
    """What a training will take, from two measured steps; comes before the first one."""

    kind: Literal["planned"] = "planned"
    drawings: Count
    """Trained on; those held out not counted."""
    held_out: Count
    buckets: tuple[tuple[Count, Count, Count], ...]
    """(width, height, drawings) of each size, the largest first."""
    steps: Count
    epochs: float
    train_batch_size: Count
    """Drawings of one step on one device."""
    split: Count
    """Parts that a batch is cut into so that it fits into the memory; 1: whole."""
    gradient_checkpointing: bool
    seconds: float
    """Predicted for the steps that are left, previews and saves included."""
    memory_mb: float
    """Most that the two steps needed."""
    memory_total_mb: float
    """All that the device has."""
    disk_mb: float
    """Needed for checkpoints, LoRA files and previews."""
    disk_free_mb: float


class Step(_Event):
    """One optimiser step is done."""

    kind: Literal["step"] = "step"
    step: Count
    """1-based: the first step is 1."""
    total: Count
    loss: float
    ema_loss: float
    learning_rate: float
    seconds: float
    """Since the job began or was resumed, previews and saves included."""
    memory_mb: float | None = None
    """Most that the process has held on its device so far; None where that is not known."""


class Validated(_Event):
    """Loss on the held-out drawings at fixed noise and timesteps."""

    kind: Literal["validated"] = "validated"
    step: Count
    loss: float


class Scored(_Event):
    """How close this step's previews are to the artist's drawings."""

    kind: Literal["scored"] = "scored"
    step: Count
    score: float
    """0: as far as pictures of the base model alone; 1: as close as the drawings are to each other."""


class Preview(_Event):
    """A preview picture is on disk."""

    kind: Literal["preview"] = "preview"
    step: Count
    """0: before training, the base model's own picture."""
    prompt: str
    seed: Count
    path: ProjectPath
    asked: bool = False
    """Whether it was requested while the training ran, with a prompt of its own."""


class Checkpoint(_Event):
    """A complete state from which training resumes is on disk."""

    kind: Literal["checkpoint"] = "checkpoint"
    step: Count
    path: ProjectPath


class LoraSaved(_Event):
    """A LoRA file is on disk, reloaded and compared."""

    kind: Literal["lora"] = "lora"
    step: Count
    path: ProjectPath


class Picture(_Event):
    """A generated picture is on disk with its recipe."""

    kind: Literal["picture"] = "picture"
    path: ProjectPath
    seed: Count
    index: Count
    """0-based within this request."""
    total: Count


class Resumed(_Event):
    """The job goes on from step `step`: what earlier lines say of later steps is void."""

    kind: Literal["resumed"] = "resumed"
    step: Count


class Warned(SentenceEvent):
    """Something the artist should know; the work goes on."""

    kind: Literal["warned"] = "warned"


class Stopped(SentenceEvent):
    """Ended because the artist asked; everything made so far is kept."""

    kind: Literal["stopped"] = "stopped"


class Paused(SentenceEvent):
    """Ended for a while because the artist asked: the device is free, the job goes on when it is resumed."""

    kind: Literal["paused"] = "paused"


class Failed(SentenceEvent):
    """Ended by an error."""

    kind: Literal["failed"] = "failed"


class Finished(SentenceEvent):
    """Ended as planned."""

    kind: Literal["finished"] = "finished"
    figures: dict[str, float] = {}
    """What was measured, by name with its unit: "seconds", "steps_per_second"."""


class Heartbeat(_Event):
    """The process still works."""

    kind: Literal["heartbeat"] = "heartbeat"
    uptime: float | None = None
    """Monotonic seconds of the machine, which setting its clock does not move."""
    boot: str = ""
    """The id of the machine's start from which they are counted."""


Event = (
    Started
    | Progress
    | Imported
    | Captioned
    | Planned
    | Step
    | Validated
    | Scored
    | Preview
    | Checkpoint
    | LoraSaved
    | Picture
    | Resumed
    | Warned
    | Stopped
    | Paused
    | Failed
    | Finished
    | Heartbeat
)
Final = Stopped | Paused | Failed | Finished
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def to_line(event: Event) -> bytes:
    """The event as one JSON line, newline included."""
    return event.model_dump_json().encode() + b"\n"


def from_line(line: bytes) -> Event | None:
    """The event on this line; None for half a line, as a crash may leave it, and for what is no event or too long."""
    if len(line) > FILE_LIST_BYTES:
        return None
    try:
        event = _ADAPTER.validate_json(line)
    except ValidationError:
        return None
    return event if len(line) <= LINE_BYTES or isinstance(event, Imported) else None


def is_of_newer_studio(line: bytes) -> bool:
    """Whether the line, which `from_line` does not know, is a whole event: of another kind, or with other fields."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and isinstance(event.get("kind"), str) and isinstance(event.get("time"), int | float)


def valid_events(events: Iterable[Event]) -> Iterator[Event]:
    """The events that still hold: `Resumed(step=k)` makes void what was written before it about later steps."""
    valid: list[Event] = []
    for event in events:
        if isinstance(event, Resumed):
            step = event.step
            valid = [
                e for e in valid if getattr(e, "step", -1) <= step and not isinstance(e, Stopped | Paused | Failed)
            ]
        valid.append(event)
    yield from valid
