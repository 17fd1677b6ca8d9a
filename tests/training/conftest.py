import hashlib
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ksh_studio.config import TrainConfig
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import forget_requests, stop_job
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import job_events
from ksh_studio.models.registry import base_entry
from ksh_studio.project.catalogue import Catalogue, NewDrawing
from ksh_studio.training.stage import train
from tests.tiny import tiny_base_folder

SIZES = [(96, 96), (96, 64), (64, 96), (96, 96), (80, 80)]


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    return tiny_base_folder(tmp_path_factory.mktemp("tiny") / "base")


def add_drawing(project, number, size):
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


@pytest.fixture
def drawings(project):
    return [add_drawing(project, number, size) for number, size in enumerate(SIZES)]


@pytest.fixture
def settings(base_folder):
    """Complete settings of a run of a few steps with everything on."""

    def make(**values):
        chosen = {
            "base_model": str(base_folder), "name": "ksh", "max_train_steps": 6, "train_batch_size": 2,
            "gradient_accumulation_steps": 1, "checkpointing_steps": 100, "validation_steps": 100,
            "lr_warmup_steps": 2, "learning_rate": 1e-2, "rank": 4, "lora_alpha": 2.0, "caption_dropout": 0.3,
            "random_flip": True, "mixed_precision": "no", "validation_prompts": ("a girl",), "clip_skip": 1,
            "resolution": 64,
        }  # fmt: skip
        return TrainConfig(**chosen | values)

    return make


class Lesson:
    """Trains in this process and keeps what was said."""

    def __init__(self, project, config, parent=None):
        self.project = project
        self.job = create_job(project, "train", config, parent)
        self.events = []

    def run(self, stop_after=None):
        """One life of the job; `stop_after`: the artist's stop comes when this step has been made."""
        forget_requests(self.job)
        said = []

        def stage(job):
            for event in train(job.file.config(TrainConfig), job.project, job):
                yield event
                if event.kind == "step" and event.step == stop_after:
                    stop_job(job)

        for event in run_job(self.job, stage):
            said.append(event)
        self.events += said
        if said[-1].kind == "failed" and said[-1].key == "job.crashed":
            raise AssertionError(self.job.log.read_text(encoding="utf-8"))
        return said

    def of(self, kind):
        return [event for event in job_events(self.job) if event.kind == kind]


@pytest.fixture
def lesson(project, drawings, settings):
    def make(parent=None, **values):
        time.sleep(0.001)
        return Lesson(project, settings(**values), parent)

    return make


@pytest.fixture(autouse=True)
def read_every_step(monkeypatch):
    """So that a stop at a step comes at that step; and previews of two denoising steps."""
    monkeypatch.setattr("ksh_studio.training.measures.step_log.EVERY_SECONDS", 0.0)
    quick = {"num_inference_steps": 2, "bucket_step": 16}
    monkeypatch.setattr("ksh_studio.training.run.base_entry", lambda name: replace(base_entry(name), **quick))
