"""What every training run shares: a budget of minutes, averaged weights and a checkpoint that is never half written."""

import copy
import math
import os
import time
from pathlib import Path

import torch
from torch import nn

# The words of the shipped captioner: it lies in a build folder whose trainings go on from shipped weights.
SHIPPED = "shipped-tokenizer.json"
SAVE_EVERY_S = 120
LONGEST_STEP_S = 30


def write_checkpoint(state: dict, path: Path) -> None:
    """Write beside the checkpoint, then rename."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def begin_from(trained: nn.Module, path: Path) -> None:
    """Write a checkpoint from which a run goes on with these weights, a fresh optimiser and no minutes spent."""
    weights = trained.state_dict()
    write_checkpoint({"model": weights, "ema": weights, "step": 0, "spent_s": 0.0}, path)


def began_from_shipped(build: Path) -> bool:
    """Whether trainings in this build folder go on from shipped weights, which want a gentler rate."""
    return (build / SHIPPED).exists()


def one_beginning(build: Path, from_shipped: bool) -> None:
    """Stop where trainings in this build folder began the other way."""
    if any(build.glob("*.pt")) and began_from_shipped(build) != from_shipped:
        began = "from the shipped weights" if not from_shipped else "from nothing"
        raise SystemExit(f"The trainings in {build} began {began}: go on with them, or name a new build folder.")
    if not from_shipped:
        (build / SHIPPED).unlink(missing_ok=True)


class Run:
    """A resumable training run of `minutes` minutes, counted over all its starts.

    The model, its averaged copy, the optimiser and the minutes spent lie in one checkpoint.
    """

    def __init__(self, model: nn.Module, path: Path, minutes: float, lr: float, ema_decay: float = 0.999) -> None:
        """Take up `path` where it was left, if it is there; the optimiser starts fresh where it holds none."""
        self.model, self.path, self.budget_s, self.lr = model, path, minutes * 60, lr
        self.ema = copy.deepcopy(model).requires_grad_(False).eval()
        self.ema_decay = ema_decay
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=1e-4)
        self.step, self.spent_s, self.saves = 0, 0.0, True
        if path.exists():
            saved = torch.load(path, weights_only=True)
            model.load_state_dict(saved["model"])
            self.ema.load_state_dict(saved["ema"])
            if "optimizer" in saved:
                self.optimizer.load_state_dict(saved["optimizer"])
            self.step, self.spent_s = saved["step"], saved["spent_s"]
        if self.progress >= 1:
            print(f"{path.name}: its {minutes:g} minutes are spent; more --minutes train it on", flush=True)
        self._last = self._saved = time.monotonic()

    @property
    def progress(self) -> float:
        """Share of the budget spent, 0..1."""
        return min(self.spent_s / self.budget_s, 1.0)

    def update(self, loss: torch.Tensor, clip: float = 1.0) -> None:
        """Take one optimiser step: warm-up, then cosine to 2 % over the budget; average; save now and then."""
        warm = min((self.step + 1) / 200, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * self.progress)) / 2)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        self.optimizer.step()
        self._average()
        self.step += 1
        now = time.monotonic()
        # A compile or a sleeping machine is no training: it must not eat the schedule.
        self.spent_s += min(now - self._last, LONGEST_STEP_S)
        self._last = now
        if self.saves and now - self._saved > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the checkpoint."""
        state = {"model": self.model.state_dict(), "ema": self.ema.state_dict(), "step": self.step}
        state |= {"optimizer": self.optimizer.state_dict(), "spent_s": self.spent_s}
        write_checkpoint(state, self.path)
        self._saved = time.monotonic()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
        both = zip(self.ema.parameters(), self.model.parameters(), strict=True)
        # What is frozen stays as it is to the last bit: a lerp would turn -0.0 into 0.0, another file for nothing.
        learning = [(ema, new) for ema, new in both if new.requires_grad]
        torch._foreach_lerp_([ema for ema, _ in learning], [new for _, new in learning], 1 - decay)
