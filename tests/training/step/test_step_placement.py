"""Where a step computes: it never makes the host wait for the device, and nothing of it is on another device.

Counted on the CPU with everything on, and run on the meta device, which has no values: an `.item()` or a tensor left on
the CPU fails there as it would stall or fail on a GPU.
"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ksh_studio.config import TrainConfig
from ksh_studio.models.loading import Base
from ksh_studio.models.registry import BaseEntry
from ksh_studio.training.data.buckets import Crop
from ksh_studio.training.data.encode import EncodedDrawings
from ksh_studio.training.data.items import Item
from ksh_studio.training.step import step as stepping
from ksh_studio.training.step.adapter import add_adapter
from ksh_studio.training.step.state import TrainingState
from ksh_studio.training.step.step import Stepper
from tests.tiny import TEXT_WIDTH, tiny_clip_tokenizer, tiny_text_encoder, tiny_unet, tiny_vae

pytestmark = pytest.mark.slow

CPU, META = torch.device("cpu"), torch.device("meta")
DRAWINGS, ORDERS = 6, 3
WAITS = (
    "_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2", "lift_fresh",
    "bincount", "allclose",
)  # fmt: skip


class Watched(TorchDispatchMode):
    """Keeps the names of operations that ask the device, bring data to it, or leave it."""

    def __init__(self, device):
        super().__init__()
        self.device, self.found = device, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        seen = {leaf.device for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)}
        name = function.name().removeprefix("aten::").split(".")[0]
        if name in WAITS or seen - {self.device}:
            self.found.append((name, sorted(map(str, seen))))
        return result


@pytest.fixture
def stepper(monkeypatch):
    """A stepper with everything on, on tiny models of random weights; on the meta device where that is asked for."""

    def make(device=CPU, text_encoder=False):
        config = TrainConfig(
            base_model="tiny", resolution=64, train_batch_size=3, gradient_accumulation_steps=2, max_train_steps=10,
            lr_warmup_steps=2, learning_rate=1e-2, rank=4, lora_alpha=2.0, target_modules="all", caption_dropout=0.3,
            random_flip=True, noise_offset=0.05, clip_skip=2, shuffle_tags=True, train_text_encoder=text_encoder,
            mixed_precision="no",
        )  # fmt: skip
        torch.manual_seed(0)
        tokenizer = tiny_clip_tokenizer()
        entry = BaseEntry("tiny", "tiny", "tiny", "folder")
        parts = {"unet": tiny_unet(), "vae": tiny_vae(), "text_encoder": tiny_text_encoder(tokenizer)}
        for part in parts.values():
            part.requires_grad_(False).eval()
        base = Base(
            entry, tokenizer, prediction_type="epsilon", device=CPU, dtype=torch.float32, weights=Path(), **parts
        )
        add_adapter(base, config)
        for part in parts.values():
            part.to(device)
        base = replace(base, device=device)
        named = ((f"{part}.{name}", one) for part, model in parts.items() for name, one in model.named_parameters())
        session = TrainingState({name: one for name, one in named if one.requires_grad}, config, base.dtype)
        if device == META:
            _as_on_a_gpu(session, monkeypatch)
        step = Stepper(base, _data(tokenizer, text_encoder, device), session, list(range(DRAWINGS)))
        step.split = 2
        return step

    return make


def _as_on_a_gpu(session, monkeypatch):
    """The meta device has no random numbers to seed; the fused kernel knows it, only the check before it does not."""
    monkeypatch.setattr(stepping, "generator", lambda *key: None)
    monkeypatch.setattr(
        import_module("torch.optim.adam"), "_device_dtype_check_for_fused", lambda *parameter, **options: None
    )
    groups = [{name: group[name] for name in ("params", "lr", "base_lr")} for group in session.optimizer.param_groups]
    session.optimizer.inner = torch.optim.AdamW(groups, fused=True)
    session.optimizer.fused = True


def _data(tokenizer, text_encoder, device):
    rows = DRAWINGS * ORDERS + 1
    items = [Item(str(n), Path(), "a", Crop(64, 64, (64, 64), 0, 0), str(n)) for n in range(DRAWINGS)]
    latents = [torch.randn(4, 2, 4, 8, 8, device=device), torch.randn(2, 2, 4, 6, 10, device=device)]
    place = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (0, 3)]
    captions = torch.arange(DRAWINGS * ORDERS, device=device).view(ORDERS, DRAWINGS).T
    embeddings = torch.randn(rows, 77, TEXT_WIDTH, device=device)
    tokens = torch.randint(len(tokenizer), (rows, 1, 77), device=device) if text_encoder else None
    return EncodedDrawings(items, latents, place, captions, embeddings, tokens)


@pytest.mark.parametrize("text_encoder", [False, True])
@pytest.mark.parametrize("device", [CPU, META], ids=str)
def test_a_whole_step_asks_nothing_of_the_device_and_leaves_it_never(device, text_encoder, stepper):
    step = stepper(device, text_encoder)
    step()  # the first makes the optimiser's state, and sends the indices of the next 256 batches
    with Watched(device) as watched:
        for _ in range(2):
            told = step()
    assert watched.found == []
    assert told.device == device and told.shape == (2,) and step.training_state.step == 3


@pytest.mark.gpu
def test_a_step_on_a_gpu_never_waits(stepper):
    step = stepper(torch.device("cuda"))
    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("left_behind", ["alphas_cumprod", "loss_weights"])
def test_a_tensor_left_on_the_cpu_is_found(left_behind, stepper):
    step = stepper(META)
    step()
    setattr(step, left_behind, torch.ones(1000))
    with pytest.raises((RuntimeError, NotImplementedError)):
        step()


def test_reading_a_value_inside_a_step_is_found(stepper, monkeypatch):
    step = stepper()
    original = step.loss
    step()
    monkeypatch.setattr(step, "loss", lambda *batch: original(*batch) * float(batch[-1].sum() > -1))
    with Watched(CPU) as watched:
        step()
    assert {name for name, _ in watched.found} == {"_local_scalar_dense"}
    step = stepper(META)
    monkeypatch.setattr(step, "loss", lambda *batch: original(*batch) * float(batch[-1].sum() > -1))
    with pytest.raises((RuntimeError, NotImplementedError)):
        step()
