"""Figures of the base: what was asked, what a weight does, how long a picture takes."""

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from drawings import HERE, PALETTES
from judges import load_judge
from measure_parts import percent
from torch import Tensor

STEPS = 20
GUIDANCE = json.loads((HERE / "tuned.json").read_text(encoding="utf-8"))["base"]["guidance_scale"]
PROMPTS = 200
SEEDS = 20
WEIGHTS = (0.5, 0.75, 1.0, 1.25, 1.5)
PEOPLE = ["an anime girl", "a boy", "a person", "a portrait", "a woman"]


def load_pipeline(pocket: Path) -> StableDiffusionPipeline:
    """Return the base as any user of diffusers would load it."""
    pipeline = StableDiffusionPipeline.from_pretrained(pocket / "base")
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def fixed_prompts(count: int, ending: str = "") -> tuple[list[str], list[str], list[str]]:
    """Return prompts, always the same, with the hair colour and background that each asks for."""
    rng = np.random.default_rng(2024)
    hair = [str(name) for name in rng.choice(list(PALETTES["hair"]), count)]
    background = [str(name) for name in rng.choice(list(PALETTES["background"]), count)]
    prompts = []
    for colour, behind in zip(hair, background, strict=True):
        parts = [f"{colour} hair", f"{behind} background"]
        parts += [str(rng.choice(["glasses", "smiling", "sad"]))] if rng.random() < 0.5 else []
        rng.shuffle(parts)
        prompts.append(", ".join([str(rng.choice(PEOPLE)), *parts]) + ending)
    return prompts, hair, background


@torch.no_grad()
def draw(pipeline: StableDiffusionPipeline, prompts: list[str], first_seed: int = 0) -> Tensor:
    """Return pictures [N, 3, 128, 128] in 0..1, one seed each."""
    made = []
    for at in range(0, len(prompts), 25):
        part = prompts[at : at + 25]
        seeds = [torch.Generator().manual_seed(first_seed + at + number) for number in range(len(part))]
        size = {"height": 128, "width": 128, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE}
        pictures = pipeline(part, generator=seeds, output_type="np", **size).images
        made.append(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    return torch.cat(made).float()


def share_equal(named: list[str], asked: list[str]) -> float:
    """Return the share of places where both say the same."""
    return float(np.mean([a == b for a, b in zip(named, asked, strict=True)]))


def asked_colours(build: Path, pocket: Path) -> dict[str, str]:
    """Return how often the judges see what was asked."""
    prompts, hair, background = fixed_prompts(PROMPTS)
    named = load_judge(build).name(draw(load_pipeline(pocket), prompts))
    return {
        "base background": percent(share_equal(named["background"], background)),
        "base hair": percent(share_equal(named["hair"], hair)),
    }


@torch.no_grad()
def state_mean(build: Path, pocket: Path) -> dict[str, str]:
    """Return the mean of the last hidden state, the smallest of all prompts."""
    del build
    pipeline = load_pipeline(pocket)
    prompts = fixed_prompts(PROMPTS)[0]
    tokens = pipeline.tokenizer(prompts, padding="max_length", max_length=77, return_tensors="pt")
    means = pipeline.text_encoder(tokens.input_ids).last_hidden_state.mean((1, 2))
    return {"state mean": f"{float(means.mean()):.3f} (nearest to zero {float(means.abs().min()):.3f})"}


@torch.no_grad()
def emphasised(pipeline: StableDiffusionPipeline, prompt: str, words: str, weight: float) -> Tensor:
    """Return the hidden state with the tokens of `words` weighed and the mean restored, as A1111's "Original"."""
    tokens = pipeline.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    wanted = pipeline.tokenizer(words, add_special_tokens=False).input_ids
    states = pipeline.text_encoder(tokens).last_hidden_state
    row = tokens[0].tolist()
    at = next(at for at in range(len(row)) if row[at : at + len(wanted)] == wanted)
    weights = torch.ones(1, 77, 1)
    weights[:, at : at + len(wanted)] = weight
    weighed = states * weights
    return weighed * (states.mean() / weighed.mean())


def weights_turn(build: Path, pocket: Path) -> dict[str, str]:
    """Return how the share of red hair follows its weight beside a competing colour."""
    pipeline, judge = load_pipeline(pocket), load_judge(build)
    shares = []
    for weight in WEIGHTS:
        red = 0
        for colour in ("blue", "green"):
            prompt = f"an anime girl, red hair, {colour} hair, white background"
            states = emphasised(pipeline, prompt, "red hair", weight).expand(SEEDS, -1, -1)
            red += judge.name(draw_states(pipeline, states))["hair"].count("red")
        shares.append(red / (2 * SEEDS))
    monotone = all(after >= before for before, after in zip(shares, shares[1:], strict=False))
    listed = ", ".join(f"{100 * share:.0f}" for share in shares)
    return {
        "weights apart": f"{100 * (shares[-1] - shares[0]):.0f} points",
        "weights monotone": f"{'yes' if monotone else 'no'} ({listed} %)",
    }


@torch.no_grad()
def draw_states(pipeline: StableDiffusionPipeline, states: Tensor) -> Tensor:
    """Return pictures of encoded prompts, seeds from 500."""
    seeds = [torch.Generator().manual_seed(500 + number) for number in range(len(states))]
    size = {"height": 128, "width": 128, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE}
    empty = pipeline.encode_prompt("", "cpu", 1, False)[0].expand(len(states), -1, -1)
    call = partial(pipeline, prompt_embeds=states, negative_prompt_embeds=empty, generator=seeds, output_type="np")
    return torch.from_numpy(call(**size).images).permute(0, 3, 1, 2).float()


def speed(build: Path, pocket: Path) -> dict[str, str]:
    """Return the time of one picture, the best of three."""
    del build
    pipeline = load_pipeline(pocket)
    times = []
    for _ in range(3):
        began = time.monotonic()
        draw(pipeline, ["an anime girl, blue hair, pink background"])
        times.append(time.monotonic() - began)
    return {"seconds a picture": f"{min(times):.2f} s"}
