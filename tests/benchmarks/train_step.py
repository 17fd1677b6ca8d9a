"""Seconds a step, interleaved, medians: the bare UNet, the studio's loop, and diffusers' script.

    python -m tests.benchmarks.train_step --state /tmp/pocket.json                        (pocket, 200 rounds)
    python -m tests.benchmarks.train_step --state /tmp/full.json --full-size              (SD 1.5's size, 10 rounds)

a  UNet forward, backward and optimiser step on tensors that are ready.
b  one turn of the studio's own training loop, events written to the job's journal, with averaging, clipping and the
   check that everything is finite.
v, t  one VAE pass and one text-encoder pass of the same batch.
c  one step of diffusers' train_text_to_image_lora.py, rebuilt from the library's public parts (see `original_step`), or
   measured in a checkout given with --diffusers.

Same base, targets, rank, batch and precision for all of them. Where the studio's automatic precision is not fp32,
everything is measured in fp32 too, because that is what the script does as it comes. Every round is kept in the file
given by --state: run the same command again and it goes on.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from ksh_studio.config import ProjectSettings, TrainConfig
from ksh_studio.demo import DRAWINGS
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.generation.prompt.encoding import encode_captions
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.start import create_job
from ksh_studio.models.device import pick_dtype
from ksh_studio.models.loading import Base
from ksh_studio.models.registry import base_entry
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project, Workspace
from ksh_studio.training.measures.slowdown import StepTimes
from ksh_studio.training.memory.offload import on_device
from ksh_studio.training.plan.settle import settled
from ksh_studio.training.run import Run, set_up
from ksh_studio.training.stage import turn
from tests.benchmarks.original_step import OriginalStep, checkout_seconds
from tests.benchmarks.sd15_random import ENTRY, random_sd15

NEVER = 1_000_000
SPOKEN = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
BARS = {"pocket": {"b/a": 1.15}, "full": {"b/a": 1.05, "shipped": 2.5}}


def main() -> None:
    """Measure what is missing of the rounds, then print the medians and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--state", type=Path, required=True, help="where the rounds are kept; a folder is made beside it"
    )
    parser.add_argument("--full-size", action="store_true", help="SD 1.5's real size with random weights, batch 1")
    parser.add_argument("--steps", type=int, help="rounds; 200 for pocket, 10 at full size")
    parser.add_argument("--precision", default="auto", choices=("auto", "no", "bf16", "fp16"))
    parser.add_argument("--targets", default="auto", choices=("auto", "attention", "transformer", "all"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--diffusers", type=Path, help="a checkout of diffusers: its own script is measured too")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads or torch.get_num_threads())
    steps = chosen.steps or (10 if chosen.full_size else 200)
    with ExitStack() as stack:
        benches = made(chosen, stack)
        about = [bench.about() for bench in benches]
        state = read(chosen.state, about)
        measure(benches, state, steps, chosen.state)
        if not chosen.full_size and "apart" not in state:
            state["apart"] = benches[0].apart()
        if chosen.diffusers and "checkout" not in state:
            state["checkout"] = checkout(chosen, benches, steps)
        chosen.state.write_text(json.dumps(state), encoding="utf-8")
    report(state, "full" if chosen.full_size else "pocket")


def made(chosen: argparse.Namespace, stack: ExitStack) -> "list[Bench]":
    """One for the precision asked for, and one for fp32 where automatic is another one."""
    benches = [Bench(chosen, chosen.precision, stack)]
    if chosen.precision == "auto" and benches[0].name != "fp32":
        benches.append(Bench(chosen, "no", stack))
    return benches


class Bench:
    """One precision: the parts of a real training on real drawings, and the steps that are compared."""

    def __init__(self, chosen: argparse.Namespace, precision: str, stack: ExitStack) -> None:
        self.project = _project(chosen.state.with_suffix(".workspace"), 4 if chosen.full_size else 40)
        if chosen.full_size:
            for place in ("run", "plan.settle"):
                stack.enter_context(patch(f"ksh_studio.training.{place}.base_entry", lambda name: ENTRY))
            stack.enter_context(patch("ksh_studio.training.run.load_base", _random_base))
        config = TrainConfig(
            base_model=ENTRY.name if chosen.full_size else "pocket", mixed_precision=precision, random_flip=True,
            target_modules=chosen.targets, lr_scheduler="constant", max_train_steps=NEVER, validation_steps=NEVER,
            checkpointing_steps=NEVER,
        )  # fmt: skip
        self.config = settled(config, self.project, "cpu")
        self.job = create_job(self.project, "train", self.config)
        self.run = _result(set_up(self.config, self.project, self.job, time.monotonic()))
        self.journal = stack.enter_context(Journal(self.job.events_file))
        stack.enter_context(on_device(self.run.base))
        self.name, self.step_times = SPOKEN[self.run.base.dtype], StepTimes()
        config, parameters = self.run.config, list(self.run.training_state.parameters.values())
        self.pictures = torch.zeros(config.train_batch_size, 3, config.resolution, config.resolution)
        self.pictures = self.pictures.to(self.run.base.device, self.run.base.vae.dtype)
        self.steps: dict[str, Callable[[], Any]] = {
            "a": bare_step(self.run),
            "b": self._studio,
            "c": OriginalStep(self.run.base, self.run.data.items, config, parameters),
            "v": self._vae,
            "t": self._text,
        }

    def about(self) -> str:
        """What is measured; rounds of something else are not mixed with these."""
        config, base = self.run.config, self.run.base
        count = sum(parameter.numel() for parameter in self.run.training_state.parameters.values())
        size = sum(parameter.numel() for parameter in base.unet.parameters()) - count
        return (
            f"{base.entry.name} (UNet {size / 1e6:.1f} M), {config.target_modules}, rank {config.rank}, "
            f"{count / 1e6:.2f} M trained, batch {config.train_batch_size}, {config.resolution} px, {self.name}, "
            f"{base.device}, {torch.get_num_threads()} threads"
        )

    def apart(self) -> dict[str, float]:
        """What does not happen in every step, once each, with how much of it there was."""
        run = self.run
        previews = {f"{len(run.previews.prompts)} previews": lambda: list(run.previews.draw(run.training_state))}
        validation = {f"validation on {len(run.held_out)}": lambda: list(run.validation.measure(run.training_state))}
        save = {"checkpoint and LoRA": lambda: list(run.saver.save(run.previews, run.seconds))}
        return {name: seconds(one, run.base.device) for name, one in (previews | validation | save).items()}

    def _studio(self) -> None:
        for event in turn(self.run, self.step_times):
            self.journal.append(event)

    @torch.no_grad()
    def _vae(self) -> None:
        self.run.base.vae.encode(self.pictures)

    @torch.no_grad()
    def _text(self) -> None:
        captions = ["a girl with blue hair"] * self.run.config.train_batch_size
        encode_captions(self.run.base, captions, self.run.config.clip_skip)


def bare_step(run: Run) -> Callable[[], None]:
    """A function that makes one plain step on tensors that are ready; its learning rate is 0."""
    base, batch = run.base, run.config.train_batch_size
    latents = run.data.latents[0][:batch, 0].contiguous()
    words, noise = run.data.embeddings[:batch].contiguous(), torch.randn_like(latents)
    timesteps = torch.randint(1000, (batch,), device=base.device)
    fused = base.device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(run.training_state.parameters.values(), lr=0.0, fused=fused)

    def step() -> None:
        with torch.autocast(base.device.type, base.dtype, enabled=base.dtype != torch.float32):
            predicted = base.unet(latents, timesteps, words).sample
        torch.nn.functional.mse_loss(predicted.float(), noise).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(benches: list[Bench], state: dict[str, Any], steps: int, path: Path) -> None:
    """Rounds of every step once, beginning with another one each time; the first round of a process is not kept."""
    pairs = [(f"{name} {bench.name}", bench.run.base.device, step) for bench in benches
             for name, step in bench.steps.items()]  # fmt: skip
    if len(state["rounds"]) < steps:
        for _, device, step in pairs:
            seconds(step, device)
    while (done := len(state["rounds"])) < steps:
        turned = pairs[done % len(pairs) :] + pairs[: done % len(pairs)]
        state["rounds"].append({name: seconds(step, device) for name, device, step in turned})
        path.write_text(json.dumps(state), encoding="utf-8")


def checkout(chosen: argparse.Namespace, benches: list[Bench], steps: int) -> list[float]:
    """The script itself, in fp32; it reads its base from the disk."""
    bench = benches[-1]
    folder = Path(base_entry("pocket").source)
    if chosen.full_size:
        from diffusers import StableDiffusionPipeline

        folder, base = chosen.state.with_suffix(".base"), random_sd15(torch.device("cpu"), torch.float32)
        parts = {"vae": base.vae, "text_encoder": base.text_encoder, "tokenizer": base.tokenizer, "unet": base.unet}
        scheduler = bench.steps["c"].scheduler
        StableDiffusionPipeline(
            **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        ).save_pretrained(folder)
    return checkout_seconds(chosen.diffusers, folder, bench.project, bench.run.config, steps)


def report(state: dict[str, Any], size: str) -> None:
    """Medians, ratios (the median of each round's own ratio) and bars."""
    rounds, bars = state["rounds"], BARS[size]
    print("\n".join(state["about"]), f"\n{len(rounds)} rounds, each step once, in turn")
    names = list(dict.fromkeys(name.split()[1] for name in rounds[0]))
    for name in names:
        shown = {part: statistics.median(one[f"{part} {name}"] for one in rounds) for part in "abcvt"}
        print(name, "  ".join(f"{part} {value:.4f} s" for part, value in shown.items()))
        loop, work, bound = (_median(rounds, name, rule) for rule in (_loop, _script, _bound))
        print(f"{name} b/a {loop:.3f} (bar: at most {bars['b/a']}): {_met(loop <= bars['b/a'])}")
        print(
            f"{name} c/b {work:.3f} (bar: at least 0.95 x (a+v+t)/a = {0.95 * bound:.3f}): {_met(work >= 0.95 * bound)}"
        )
    if names[-1] == "fp32":  # as the script comes
        shipped = statistics.median(one[f"c {names[-1]}"] / one[f"b {names[0]}"] for one in rounds)
        verdict = f" (bar: at least {bars['shipped']}): {_met(shipped >= bars['shipped'])}" if "shipped" in bars else ""
        print(f"as shipped: the script in {names[-1]} / the studio in {names[0]} {shipped:.3f}{verdict}")
    if "checkout" in state:
        script = statistics.median(state["checkout"])
        print(f"the script itself, from a checkout, fp32, attention only: {script:.4f} s a step")
    else:
        print("c is rebuilt from diffusers' public parts; the script itself was not run")
    for name, value in state.get("apart", {}).items():
        print(f"apart: {name} {value:.2f} s")


def _loop(one: dict[str, float]) -> float:
    return one["b"] / one["a"]


def _script(one: dict[str, float]) -> float:
    return one["c"] / one["b"]


def _bound(one: dict[str, float]) -> float:
    return (one["a"] + one["v"] + one["t"]) / one["a"]


def _median(rounds: list[dict[str, float]], name: str, rule: Callable[[dict[str, float]], float]) -> float:
    own = [{part: one[f"{part} {name}"] for part in "abcvt"} for one in rounds]
    return statistics.median(map(rule, own))


def _met(met: bool) -> str:
    return "met" if met else "NOT met"


def seconds(function: Callable[[], Any], device: torch.device) -> float:
    """How long one call takes, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def read(path: Path, about: list[str]) -> dict[str, Any]:
    """The rounds measured so far. Exits when they are of something else."""
    if not path.exists():
        return {"about": about, "rounds": []}
    state = json.loads(path.read_text(encoding="utf-8"))
    if state["about"] != about:
        raise SystemExit(f"{path} is of another measurement: {state['about']}")
    return state


def _project(root: Path, drawings: int) -> Project:
    """A project with captioned demo drawings; made once, so that its latents stay cached."""
    workspace = Workspace(root)
    workspace.prepare()
    if workspace.projects():
        return workspace.projects()[0]
    project = workspace.create_project(ProjectSettings(name="benchmark"))
    list(import_drawings(sorted(DRAWINGS.glob("*.png"))[:drawings], project))
    with Catalogue(project) as catalogue:
        for number, drawing in enumerate(catalogue.drawings()):
            catalogue.save_caption(drawing.id, f"a person with blue hair, number {number}")
    return project


def _random_base(entry: object, device: torch.device, precision: str, attention: str) -> Base:
    return random_sd15(device, pick_dtype(device, precision))


def _result(work: Any) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


if __name__ == "__main__":
    main()
