"""Makes a batch fit into the memory: cut into parts, then with gradient checkpointing, before anything is given up."""

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ksh_studio.errors import StudioError
from ksh_studio.events import Warned
from ksh_studio.models.memory import free_memory, is_out_of_memory
from ksh_studio.training.memory.out_of_memory import out_of_memory
from ksh_studio.training.step.step import Stepper


class BackOff:
    """Makes the steps of one run; when one does not fit, the same step again with less memory.

    What was changed goes into the checkpoints, so that a resumed run goes on the same way.
    """

    def __init__(self, make: Callable[[], Stepper]) -> None:
        """Take steps with the stepper that `make` gives, which is called again after a step that failed half way."""
        self._make = make
        self.stepper = make()
        self.split = 1
        self.checkpointing = self.stepper.config.gradient_checkpointing
        """Whether the UNet computes activations twice instead of keeping them."""

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"split": self.split, "gradient_checkpointing": self.checkpointing}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as an earlier process was made to fit."""
        self.split = self.stepper.split = state["split"]
        if state["gradient_checkpointing"]:
            self._checkpoint()

    def renew(self) -> None:
        """A stepper that stands exactly where the training_state stands: nothing of an unfinished step is left."""
        training_state = self.stepper.training_state
        training_state.optimizer.zero_grad(set_to_none=True)
        if training_state.scaler.is_enabled():  # it may have been left between two of its calls
            training_state.scaler.scale(torch.zeros((), device=self.stepper.base.device))
            training_state.scaler.update(training_state.scaler.get_scale())
        self.stepper = self._make()
        self.stepper.split = self.split

    def step(self, batches: Iterator[tuple[int, Tensor, Tensor]] | None = None) -> Generator[Warned, None, Tensor]:
        """Make the next step, as `Stepper` does, and warn of what was changed so that it fits.

        `batches`, where given, are used instead of those whose turn it is.
        Raises StudioError with the numbers when nothing is left to change.
        """
        training_state = self.stepper.training_state
        while True:
            before = training_state.step
            if batches is not None:
                self.stepper.batches = batches
            try:
                return self.stepper()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or training_state.step != before:
                    raise
                sentence = out_of_memory(training_state.config, self.stepper.base.device, error)
            # outside the `except`: its traceback would keep the failed step's tensors alive
            yield self._adjusted(sentence)
            self.renew()
            free_memory(self.stepper.base.device)

    def _adjusted(self, sentence: StudioError) -> Warned:
        """Take the next way to need less; the steps of several processes go together, so they change nothing."""
        config = self.stepper.config
        values = {"batch": str(config.train_batch_size), "free": sentence.sentence.values["free"]}
        if config.num_processes > 1:
            raise sentence
        if self.split < config.train_batch_size:
            self.split = min(self.split * 2, config.train_batch_size)
            return Warned.saying("preflight.split", **(values | {"split": str(self.split)}))
        if self.checkpointing:
            raise sentence
        self._checkpoint()
        return Warned.saying("preflight.checkpointing", **values)

    def _checkpoint(self) -> None:
        self.checkpointing = True
        self.stepper.base.unet.enable_gradient_checkpointing()
