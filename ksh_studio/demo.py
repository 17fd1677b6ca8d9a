"""The demo: the 40 shipped drawings of one artist are imported, captioned and learnt, with the pocket models.

The page uses the project too, so that a first look needs no drawings and downloads nothing.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ksh_studio import ASSETS
from ksh_studio.config import CaptionConfig, GenerateConfig, ProjectSettings, TrainConfig
from ksh_studio.disk import locked
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.events import Event, Failed, Finished, LoraSaved, Picture, Started
from ksh_studio.jobs.folder import JobSettings, StageName
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.start import create_job_if_free, own_device
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Project, Workspace
from ksh_studio.stages import stage_events

SLUG = "demo"
DRAWINGS = ASSETS / "demo" / "drawings"
PROMPT = "a person, blue hair, pink background, {trigger}"


def demo_project(workspace: Workspace, language: Language = "en") -> Project:
    """The workspace's demo project, pinned to the pocket models; made, without its drawings, where there is none."""
    with locked(workspace.root / "demo.lock", "job.starting"):
        if not (workspace.projects_folder / SLUG / "project.json").is_file():
            project = Project(workspace.projects_folder / SLUG, workspace)
            name = translate("project.demo", language)
            project.save_settings(ProjectSettings(name=name, base_model="pocket", captioner="pocket"))
        return workspace.project(SLUG)


def demo(root: Path, train: TrainConfig) -> Iterator[Event]:
    """Import, caption, train and generate on the demo drawings; ends with the figures of the whole line.

    Yields the events of all stages. `train.seed` is the seed of every stage: the same on the same machine gives the
    same LoRA and pictures.
    """
    from ksh_studio.generation.stage import generate  # torch: not before it is needed
    from ksh_studio.models.device import pick_device
    from ksh_studio.training.plan.settle import settled

    began = time.monotonic()
    workspace = Workspace(root)
    workspace.prepare()
    project = demo_project(workspace)
    record = _Recorder(project)
    yield from record(import_drawings(DRAWINGS, project))
    yield from record(_job(project, "caption", CaptionConfig(seed=train.seed)))
    if record.failed:
        return
    yield from record(_job(project, "train", settled(train, project, pick_device().type)))
    if record.failed:
        return
    prompt = PROMPT.format(trigger=project.settings().trigger.text)
    with_style = GenerateConfig(prompt=prompt, lora=record.lora, seed=train.seed, batch_size=2)
    with own_device(workspace):
        yield from record(generate(with_style, project, _never))
        yield from record(generate(with_style.model_copy(update={"lora": ""}), project, _never))
    if not record.failed:
        yield _summary(project, record, time.monotonic() - began)


def _never() -> bool:
    return False


def _job(project: Project, stage: StageName, config: JobSettings) -> Iterator[Event]:
    return run_job(create_job_if_free(project, stage, config), stage_events)


class _Recorder:
    """Passes events on and keeps what the summary needs; passes nothing on once a stage has failed.

    A figure gets its stage's name in front, since both training and generation count seconds; of the two generations
    the first one's are kept.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.failed = False
        self.stage = "import"
        self.lora = ""
        self.pictures: list[str] = []
        self.figures: dict[str, float] = {}

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        if self.failed:
            return
        for event in events:
            match event:
                case Failed():
                    self.failed = True
                case LoraSaved():
                    self.lora = (self.project.root / event.path).relative_to(self.project.workspace.root).as_posix()
                case Picture():
                    self.pictures.append(event.path)
                case Started():
                    self.stage = event.stage
                case Finished():
                    for name, value in event.figures.items():
                        self.figures.setdefault(f"{self.stage}_{name.removeprefix(f'{self.stage}_')}", value)
            yield event


def _summary(project: Project, record: _Recorder, seconds: float) -> Finished:
    pictures = [np.asarray(Image.open(project.root / path), np.float32) for path in record.pictures]
    half = len(pictures) // 2
    difference = float(np.mean([np.abs(a - b).mean() for a, b in zip(pictures[:half], pictures[half:], strict=True)]))
    figures = record.figures | {"seconds_in_all": seconds, "style_difference_of_255": difference}
    values = {
        "seconds": f"{seconds:.0f}",
        "lora": str(project.workspace.root / record.lora),
        "pictures": "\n".join(f"  {project.root / path}" for path in record.pictures),
        "difference": f"{difference:.1f}",
        "figures": "\n".join(f"  {name}: {value:.4g}" for name, value in sorted(figures.items())),
    }
    return Finished(key="cli.demo_finished", values=values, figures=figures)
