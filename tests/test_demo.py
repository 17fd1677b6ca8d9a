"""The whole line by its command, on the shipped models, with few steps: that nothing of it is staged."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ksh_studio import ASSETS
from ksh_studio.events import Finished, LoraSaved, Preview, Step
from ksh_studio.generation.pictures.gallery import pictures_of
from ksh_studio.jobs.folder import Job, jobs_of
from ksh_studio.jobs.status import job_events
from ksh_studio.project.workspace import Project, Workspace

ROOT = ASSETS.parent
STEPS = 6
pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Line:
    printed: str
    project: Project
    job: Job

    @property
    def lora(self) -> dict[str, np.ndarray]:
        path = [event.path for event in job_events(self.job) if isinstance(event, LoraSaved)][-1]
        return load_file(self.project.root / path)


def run_line(root: Path, seed: int) -> Line:
    command = [sys.executable, "studio.py", "--language", "en", "demo", "--workspace", str(root)]
    command += ["--seed", str(seed), "--max-train-steps", str(STEPS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    project = Workspace(root).project("demo")
    return Line(done.stdout, project, jobs_of(project, "train")[0])


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> list[Line]:
    return [run_line(tmp_path_factory.mktemp(f"seed-{seed}") / "w", seed) for seed in (1, 2)]


def test_no_lora_lies_in_the_assets():
    for path in ASSETS.rglob("*.safetensors"):
        header = path.read_bytes()[:200_000]
        assert b"lora" not in header, path


def test_every_demo_drawing_is_imported_and_captioned(lines):
    captions = [event for job in jobs_of(lines[0].project, "caption") for event in job_events(job)]
    made = [event for event in captions if event.kind == "captioned"]
    assert len(made) == len([path for path in (ASSETS / "demo" / "drawings").iterdir() if path.is_file()]) == 40
    assert len({event.caption for event in made}) > 10


def test_the_step_events_are_the_steps_claimed(lines):
    for line in lines:
        told = job_events(line.job)
        assert [event.step for event in told if isinstance(event, Step)] == list(range(1, STEPS + 1))
        assert line.job.file.settings["max_train_steps"] == STEPS
        assert isinstance(told[-1], Finished)
        assert {event.step for event in told if isinstance(event, Preview)} >= {0, STEPS}


def test_the_lora_is_not_zero_and_changes_with_the_seed(lines):
    first, second = (line.lora for line in lines)
    assert set(first) == set(second)
    ups = [name for name in first if name.endswith("lora_up.weight")]
    deltas = [np.abs(first[name].astype(np.float32)).max() for name in ups]
    assert len(ups) > 50
    assert min(deltas) > 0
    assert any(not np.array_equal(first[name], second[name]) for name in ups)


def test_pictures_with_and_without_the_lora_differ(lines):
    names = re.findall(r"^ *Picture \d of \d with seed \d+: (.+)$", lines[0].printed, re.MULTILINE)
    pictures = [Image.open(lines[0].project.root / name) for name in names]
    assert len(pictures) == len(pictures_of(lines[0].project)) == 4
    pixels = [np.asarray(picture, np.float32) for picture in pictures]
    for styled, plain in zip(pixels[:2], pixels[2:], strict=True):
        assert np.abs(styled - plain).mean() > 0.05


def test_it_prints_its_figures_and_where_the_files_are(lines):
    printed = lines[0].printed
    assert "The whole line took" in printed
    assert str(lines[0].project.root) in printed
    assert "style_difference_of_255" in printed


def test_pictures_carry_their_recipe(lines):
    for picture in pictures_of(lines[0].project):
        assert "Steps: " in Image.open(picture.path).text["parameters"]
