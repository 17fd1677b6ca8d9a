"""Steps that are measured and then taken back, bit for bit: a training goes on as if they had never been made."""

import copy
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from ksh_studio.errors import StudioError
from ksh_studio.events import Progress, Warned
from ksh_studio.generation.prompt.encoding import encode_prompts
from ksh_studio.generation.prompt.parse import parse_prompts
from ksh_studio.generation.sampling.denoising import decode, denoise
from ksh_studio.models.memory import free_memory, is_out_of_memory
from ksh_studio.training.data.encode import EncodedDrawings
from ksh_studio.training.measures.previews import end_requested
from ksh_studio.training.memory.measure import MB, forget_peak, held_mb, wait
from ksh_studio.training.memory.offload import on_device
from ksh_studio.training.run import EarlyEnd, Run
from ksh_studio.training.step.state import TrainingState

STEPS = 2
"""The first one makes the optimiser's state and chooses kernels; the second one is timed."""


@dataclass(frozen=True)
class Measurements:
    """What one of each costs."""

    step_seconds: float
    denoising_seconds: float
    """One denoising step of a preview; 0 where it could not be measured."""
    decoding_seconds: float
    memory_mb: float
    checkpoint_mb: float
    """Size of the files of one checkpoint."""


def measure_steps(run: Run) -> Generator[Progress | Warned, None, Measurements]:
    """Two steps on the largest pictures and a moment of a preview, measured; nothing of them stays.

    Says what had to be changed so that the steps fit. Raises StudioError when nothing makes them fit, EarlyEnd when
    the artist asked to stop.
    """
    device, total = run.base.device, STEPS + 1
    forget_peak(device)
    with undone(run.training_state):
        for done in range(STEPS):
            _go_on(run)
            yield Progress(phase="measure", done=done, total=total)
            wait(device)
            start = time.monotonic()
            yield from run.back_off.step(repeat(largest_batch(run.data, run.trained, _batch_size(run))))
            wait(device)
            seconds = time.monotonic() - start
        memory = held_mb(device)
        checkpoint = sum(value.numel() * value.element_size() for value in run.training_state.tensors().values()) / MB
    run.back_off.renew()
    _go_on(run)
    yield Progress(phase="measure", done=STEPS, total=total)
    denoising, decoding = _preview_seconds(run)
    yield Progress(phase="measure", done=total, total=total)
    return Measurements(seconds, denoising, decoding, memory, checkpoint)


@contextmanager
def undone(training_state: TrainingState) -> Iterator[None]:
    """Weights, average, optimiser, scaler and counters are after the block what they were before it, bit for bit.

    Copies are kept in the computer's memory, so that they do not count as the device's.
    """
    optimizer = training_state.optimizer.inner
    weights = [(p, p.detach().to("cpu", copy=True)) for p in training_state.parameters.values()]
    average = [(value, value.to("cpu", copy=True)) for value in training_state.ema.values()]
    groups = [copy.deepcopy({k: v for k, v in group.items() if k != "params"}) for group in optimizer.param_groups]
    state = {p: {kind: _kept(value) for kind, value in values.items()} for p, values in optimizer.state.items()}
    scaler = training_state.scaler.state_dict()
    counters = {name: getattr(training_state, name) for name in ("step", "loss_ema", "bad_steps", "seconds")}
    try:
        yield
    finally:
        with torch.no_grad():
            for value, before in weights + average:
                value.copy_(before)
        optimizer.zero_grad(set_to_none=True)
        optimizer.state.clear()
        for parameter, values in state.items():
            optimizer.state[parameter] = {kind: _back(value) for kind, value in values.items()}
        for group, settings in zip(optimizer.param_groups, groups, strict=True):
            params = group["params"]
            group.clear()
            group.update(settings | {"params": params})
        if training_state.scaler.is_enabled():
            training_state.scaler.load_state_dict(scaler)
        for name, value in counters.items():
            setattr(training_state, name, value)


def _kept(value: object) -> object:
    """A copy of one value of an optimiser's state, and the device it belongs to."""
    return (value.to("cpu", copy=True), value.device) if isinstance(value, Tensor) else copy.deepcopy(value)


def _back(value: object) -> object:
    return value[0].to(value[1]) if isinstance(value, tuple) and isinstance(value[0], Tensor) else value


def largest_batch(data: EncodedDrawings, trained: list[int], size: int) -> tuple[int, Tensor, Tensor]:
    """A full batch of the largest pictures there are: (bucket, item indices [B], rows [B])."""
    bucket = max({data.place[n][0] for n in trained}, key=lambda one: data.latents[one].shape[-2:].numel())
    members = [n for n in trained if data.place[n][0] == bucket]
    batch = [members[n % len(members)] for n in range(size)]
    device = data.embeddings.device
    rows = [data.place[n][1] for n in batch]
    return bucket, torch.tensor(batch, device=device), torch.tensor(rows, device=device)


def _batch_size(run: Run) -> int:
    return run.config.train_batch_size * run.config.num_processes


def _go_on(run: Run) -> None:
    if run.group.agree(end_requested(run.job)):
        raise EarlyEnd


def _preview_seconds(run: Run) -> tuple[float, float]:
    """Seconds of one denoising step, the second one, and of decoding a picture; zeros where that does not work.

    A preview that fails later says so itself; here it only costs the forecast.
    """
    if not run.previews.prompts:
        return 0.0, 0.0
    base, request = run.base, run.previews.request(run.previews.prompts[0])
    prompts = parse_prompts(request.prompt, request.negative_prompt)
    with suppress(StudioError):
        try:
            with on_device(base):
                steps = denoise(base, request, encode_prompts(base, prompts, request.clip_skip), [0])
                next(steps)
                wait(base.device)
                start = time.monotonic()
                latents = next(steps).latents
                wait(base.device)
                middle = time.monotonic()
                decode(base, latents)
                return middle - start, time.monotonic() - middle
        except StopIteration:  # previews of a single step
            return 0.0, 0.0
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
    free_memory(base.device)
    return 0.0, 0.0
