"""What a training leaves on disk along the way: checkpoints to go on from, LoRA files to use."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from ksh_studio.events import Checkpoint, Event, LoraSaved
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.process import require_ownership
from ksh_studio.lora.file.metadata import safe_stem
from ksh_studio.lora.save import save_lora
from ksh_studio.models.loading import Base
from ksh_studio.training.checkpoint import save_checkpoint
from ksh_studio.training.data.items import Item, digest_of
from ksh_studio.training.measures.previews import Previews
from ksh_studio.training.saving.metadata import TrainingRecord, training_metadata
from ksh_studio.training.step.adapter import lora_weights
from ksh_studio.training.step.state import TrainingState

MINUTES_BETWEEN_CHECKPOINTS = 10
"""How much work a crash may cost at most, however many steps the settings leave between two checkpoints."""


def lora_stem(job: Job, name: str) -> str:
    """What the job's LoRA files are called before the step: the given name, else the project's, fit for a file.

    A job that has files already goes on with their name, also when the project is called otherwise by now.
    """
    earlier = sorted(job.loras.glob("[!.]*-*.safetensors"))
    return earlier[0].stem.rpartition("-")[0] if earlier else safe_stem(name or job.project.settings().name)


class Saver:
    """Saves one job's state and result, each step once."""

    def __init__(self, base: Base, job: Job, training_state: TrainingState, items: list[Item], name: str) -> None:
        self.base, self.job, self.training_state, self.name = base, job, training_state, name
        self.items = items
        """Drawings that the LoRA file says it was trained on."""
        self.digest = digest_of(items)
        self.checkpointed = self.exported = -1
        self.checkpointed_at = time.monotonic()
        """Monotonic seconds of the newest checkpoint of this process, before it of the beginning."""
        self.more_counters: Callable[[], dict[str, Any]] = dict
        """Counters of other parts of the training that a checkpoint keeps too."""

    def save(self, previews: Previews, seconds: float) -> Iterator[Event]:
        """A checkpoint, then the LoRA of this moment; nothing that was already saved at this step.

        The checkpoint comes first: when the disk fills up between the two, nothing is lost. Raises StudioError when
        another process has gone on with the job: what it saves must not be overwritten.
        """
        yield from self.save_checkpoint(seconds)
        if self.exported != self.training_state.step:
            require_ownership(self.job)
            yield self._export(previews)

    def checkpoint_is_due(self) -> bool:
        """Whether so much time has passed since the newest checkpoint that there should be one now."""
        return time.monotonic() - self.checkpointed_at >= 60 * MINUTES_BETWEEN_CHECKPOINTS

    def save_checkpoint(self, seconds: float) -> Iterator[Checkpoint]:
        """A checkpoint, without a LoRA file, of which none is ever removed. Raises StudioError as `save` does."""
        step = self.training_state.step
        if self.checkpointed == step:
            return
        state = self.training_state.state() | self.more_counters() | {"data": self.digest, "seconds": seconds}
        require_ownership(self.job)
        path = save_checkpoint(self.job.checkpoints, step, self.training_state.tensors(), state)
        self.checkpointed, self.checkpointed_at = step, time.monotonic()
        yield Checkpoint(step=step, path=self.job.project.relative(path))

    def _export(self, previews: Previews) -> LoraSaved:
        config, step = self.training_state.config, self.training_state.step
        file = self.job.file
        record = TrainingRecord(self.name, file.trigger.text, self.items, file.created, time.time())
        path = self.job.loras / f"{self.name}-{step:06d}.safetensors"
        weights = lora_weights(self.training_state.result(), config)
        metadata = training_metadata(config, self.base, record, step)
        save_lora(path, self.base, weights, metadata, previews.newest(step))
        self.exported = step
        return LoraSaved(step=step, path=self.job.project.relative(path))
