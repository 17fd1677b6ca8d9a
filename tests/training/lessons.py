"""What the tests of training share: drawings with captions, settings of a few steps, a training in this process."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from ksh_studio.config import SettledTraining, TrainConfig
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import forget_requests, stop_job
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import job_events
from ksh_studio.project.catalogue import Catalogue, NewDrawing
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.plan.settle import settled
from ksh_studio.training.stage import train

SIZES = [(96, 96), (96, 64), (64, 96), (96, 96), (80, 80)]
EVERYTHING = {
    "max_train_steps": 4,
    "validation_steps": 2,
    "checkpointing_steps": 3,
    "validation_share": 0.2,
    "gradient_accumulation_steps": 3,
}
"""A short run with validation, saves in between and accumulated gradients."""


def add_drawing(project, number, size):
    """Put a captioned drawing of this size (width, height) into the project; no other number gives the same."""
    random = np.random.default_rng(number)
    small = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    drawing = NewDrawing(digest[:16], f"그림 {number}.png", f"{number}.png", *size, digest, digest)
    drawing.path(project).parent.mkdir(parents=True, exist_ok=True)
    picture.save(drawing.path(project), "WEBP", lossless=True)
    with Catalogue(project) as catalogue:
        catalogue.add(drawing)
        catalogue.save_caption(drawing.id, f"a girl number {number}")
    return drawing


def add_drawings(project):
    """Five drawings in three shapes."""
    return [add_drawing(project, number, size) for number, size in enumerate(SIZES)]


def short_training(base_folder: Path, **values) -> TrainConfig:
    """Complete settings of a run of a few steps with everything on; `values` go before them."""
    few = {
        "base_model": str(base_folder), "name": "ksh", "max_train_steps": 6, "train_batch_size": 2,
        "gradient_accumulation_steps": 1, "checkpointing_steps": 100, "validation_steps": 100,
        "lr_warmup_steps": min(2, values.get("max_train_steps", 2)),
        "learning_rate": 1e-2, "rank": 4, "lora_alpha": 2.0, "caption_dropout": 0.3,
        "random_flip": True, "mixed_precision": "no", "validation_prompts": ("a girl",), "clip_skip": 1,
        "resolution": 64,
    }  # fmt: skip
    return TrainConfig(**few | values)


class Lesson:
    """A training job that runs in this process."""

    def __init__(self, project, config, parent=None):
        self.project = project
        self.job = create_job(project, "train", settled(config, project, "cpu"), parent)
        self.events = []

    def run(self, stop_after=None):
        """Run the job to its end, or until it is stopped after the step `stop_after`; gives this run's events."""
        forget_requests(self.job)

        def stage(job):
            for event in train(job.file.config(SettledTraining), job.project, job):
                yield event
                if event.kind == "step" and event.step == stop_after:
                    stop_job(job)

        events = list(run_job(self.job, stage))
        self.events += events
        if events[-1].kind == "failed" and events[-1].key == "job.crashed":
            raise AssertionError(self.job.log.read_text(encoding="utf-8"))
        return events

    def of(self, kind):
        """The job's events of this kind, of all its runs."""
        return [event for event in job_events(self.job) if event.kind == kind]


def is_whole(job, step):
    """Whether the job's newest checkpoint and LoRA are of this step and can be read."""
    saved = load_newest(job.checkpoints)
    name = f"{job.file.settings['name']}-{step:06d}.safetensors"
    return saved.step == step and saved.damaged == [] and len(load_file(job.loras / name)) > 0


def outcome(lesson):
    """Steps and validations as reported, and every tensor of the last checkpoint and of the last LoRA."""
    steps = [(event.step, event.loss, event.ema_loss, event.learning_rate) for event in lesson.of("step")]
    validated = [(event.step, event.loss) for event in lesson.of("validated")]
    lora = load_file(lesson.project.root / lesson.of("lora")[-1].path)
    return steps, validated, load_newest(lesson.job.checkpoints).tensors, lora


def assert_same(first, second):
    """Two outcomes are the same, bit for bit."""
    assert first[0] == second[0] and first[1] == second[1]
    for one, other in zip(first[2:], second[2:], strict=True):
        assert one.keys() == other.keys() and len(one) > 50
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
