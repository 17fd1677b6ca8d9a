"""A backup from somebody else: "here is my project, could you publish it?" Nothing of this machine may come along."""

import json
import zipfile

import pytest
from PIL import Image

from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import LoraSaved, Preview, to_line
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.journal import EventReader
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.start import begin_job, create_job
from ksh_studio.lora.publishing import _copy_files, plan_publication
from ksh_studio.models.registry import registered_names
from ksh_studio.project.backup import back_up, restore
from ksh_studio.project.set_aside import allow, decline, read_set_aside
from ksh_studio.ui.train.recommended import file_list, recommended_step
from tests.tiny import tiny_lora_file

SECRET = b"TOPSECRET private key"
OUTSIDE = [
    "{secret}", "../../../../../../../../../../{relative}", "../../loras/secret.png", "//host/share/id_rsa.png",
    "jobs/{job}/previews/../../../../../loras/secret.png", "\\\\host\\share\\id_rsa.png", "C:\\Users\\anna\\id_rsa.png",
    "jobs/{job}/previews/link.png", "project.json", "jobs/{job}/job.json", "jobs/{job}/events.jsonl",
]  # fmt: skip


@pytest.fixture
def secret(tmp_path, workspace):
    """A file of the artist that has nothing to do with the project, and one in the workspace."""
    path = tmp_path / "id_rsa"
    path.write_bytes(SECRET)
    (workspace.loras / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET)
    return path


@pytest.fixture
def job(project):
    """A training with a LoRA of step 500 and an honest preview of it."""
    job = create_job(project, "train", TrainConfig(base_model="pocket"))
    lora = tiny_lora_file(job.loras / "ksh-000500.safetensors")
    job.previews.mkdir()
    Image.new("RGB", (8, 8), "red").save(job.previews / "000500-1.png")
    events = [
        Preview(step=500, prompt="a cat", seed=1, path=project.relative(job.previews / "000500-1.png")),
        LoraSaved(step=500, path=project.relative(lora)),
    ]
    job.events_file.write_bytes(b"".join(to_line(event) for event in events))
    return job


def restored(job, target, *lines):
    """The job in a restored backup, into whose events a stranger has written `lines`."""
    back_up(job.project, target / "honest.zip")
    events = f"jobs/{job.id}/events.jsonl"
    with zipfile.ZipFile(target / "honest.zip") as honest, zipfile.ZipFile(target / "backup.zip", "w") as hostile:
        for name in honest.namelist():
            more = "".join(json.dumps(line) + "\n" for line in lines).encode() if name == events else b""
            hostile.writestr(name, honest.read(name) + more)
    project = restore(target / "backup.zip", job.project.workspace)
    return type(job)(project.jobs / job.id, project)


def step_of(lora, step):
    from safetensors.torch import load_file, save_file

    save_file(load_file(lora), lora, {"ss_steps": str(step), "ss_base_model_version": "tiny", "ss_sd_model_name": "t"})


@pytest.mark.parametrize("named", OUTSIDE)
@pytest.mark.parametrize("kind", ["preview", "lora"])
def test_an_event_takes_no_file_from_elsewhere(workspace, job, secret, tmp_path, named, kind):
    step_of(job.loras / "ksh-000500.safetensors", 500)
    values = {"secret": secret, "relative": secret.relative_to(secret.anchor).as_posix(), "job": job.id}
    line = {"kind": kind, "time": 1, "step": 500, "path": named.format(**values)}
    if kind == "preview":
        line |= {"prompt": "a cat", "seed": 1}
    theirs = restored(job, tmp_path, line, line | {"step": 600})
    (theirs.previews / "link.png").symlink_to(workspace.loras / "secret.png")
    publication = plan_publication(workspace, theirs.loras / "ksh-000500.safetensors", "anna/style")
    staged = tmp_path / "staged"
    _copy_files(publication, staged)
    contents = {path.name: path.read_bytes() for path in staged.rglob("*") if path.is_file()}
    assert set(contents) == {"README.md", "ksh-000500.safetensors", "1.png"}
    assert contents["1.png"] == (job.previews / "000500-1.png").read_bytes()
    assert not any(SECRET in data for data in contents.values())


@pytest.mark.parametrize("named", OUTSIDE)
def test_the_page_shows_such_a_job_without_a_look_elsewhere(job, secret, tmp_path, named):
    values = {"secret": secret, "relative": secret.relative_to(secret.anchor).as_posix(), "job": job.id}
    path = named.format(**values)
    lines = [
        {"kind": "lora", "time": 1, "step": 700, "path": path},
        {"kind": "preview", "time": 1, "step": 700, "path": path, "prompt": "x", "seed": 1},
    ]
    theirs = restored(job, tmp_path, *lines)
    history = JobHistory(EventReader(theirs.events_file)).follow()
    shown = file_list(theirs.project, history, "en", True) + recommended_step(theirs.project, history, "", "en")
    assert "ksh-000500" in shown
    assert "../" not in shown and "host" not in shown and str(secret) not in shown


@pytest.mark.parametrize("name", ["../../../other", "/etc", "..", "a/b", "//host/share", "C:\\x", "x\0y"])
def test_a_job_goes_on_from_no_folder_elsewhere(job, name):
    from ksh_studio.training.run import _newest

    file = json.loads((job.folder / "job.json").read_text())
    (job.folder / "job.json").write_text(json.dumps(file | {"parent": name}))
    with pytest.raises(StudioError):
        _newest(job)


HUGE, LONG = 10**400, "x" * 100_000
ODD_LINES = [
    {"kind": "step", "step": HUGE, "total": 1, "loss": 1, "ema_loss": 1, "learning_rate": 1, "seconds": 1},
    {"kind": "step", "step": 7, "total": 0, "loss": 1e308, "ema_loss": -1e308, "learning_rate": 1e308,
     "seconds": 1e308},
    {"kind": "step", "step": 8, "total": 1, "loss": -1e308, "ema_loss": 1e308, "learning_rate": 0, "seconds": 1e-300},
    {"kind": "step", "step": -5, "total": -5, "loss": 0, "ema_loss": 0, "learning_rate": 0, "seconds": 0},
    {"kind": "validated", "step": 7, "loss": 1e308},
    {"kind": "validated", "step": 8, "loss": -1e308},
    {"kind": "scored", "step": 7, "score": 1e308},
    {"kind": "scored", "step": 8, "score": -1e308},
    {"kind": "preview", "step": 8, "prompt": LONG * 3, "seed": 1, "path": "jobs/x/previews/1.png"},
    {"kind": "preview", "step": 8, "prompt": "a" * 20_000, "seed": HUGE, "path": "jobs/x/previews/1.png"},
    {"kind": "captioned", "drawing": "a", "caption": LONG * 3, "done": 1, "total": 1},
    {"kind": "progress", "phase": "load", "done": HUGE, "total": 1},
    {"kind": "progress", "phase": "load", "done": 2**53, "total": 0},
    {"kind": "warned", "key": "train.data_changed", "values": {"x": LONG * 3}},
    {"kind": "resumed", "step": HUGE},
    {"kind": "lora", "step": 2**53, "path": "jobs/x/loras/a.safetensors"},
    {"kind": "planned", "drawings": 2**53, "held_out": 0, "buckets": [[2**53, 0, 0]] * 50, "steps": 2**53,
     "epochs": 1e308, "train_batch_size": 0, "split": 0, "gradient_checkpointing": True, "seconds": 1e308,
     "memory_mb": 1e308, "memory_total_mb": 0, "disk_mb": -1e308, "disk_free_mb": 0},
    {"kind": "heartbeat", "uptime": 1e308, "boot": LONG},
    {"kind": "finished", "key": "train.finished", "values": {"name": "x", "steps": "1"},
     "figures": {"seconds": 1e308, "steps": -1e308, "x" * 1000: 1}},
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ko"])
def test_odd_numbers_and_long_texts_in_events_empty_no_tab(job, tmp_path, language):
    """Shown line by line, so that each is once the newest, and then all together."""
    from ksh_studio.jobs.describe import describe
    from ksh_studio.jobs.status import job_status
    from ksh_studio.ui.train.chart import loss_chart
    from ksh_studio.ui.train.previews import preview_tiles
    from ksh_studio.ui.train.recommended import recommendation
    from ksh_studio.ui.train.status import headline

    theirs = restored(job, tmp_path)
    history = JobHistory(EventReader(theirs.events_file))
    for line in [{}, *ODD_LINES, *ODD_LINES]:
        with theirs.events_file.open("ab") as file:
            file.write(json.dumps({"time": 1} | line).encode() + b"\n")
        for event in EventReader(theirs.events_file).rest():
            assert len(describe(event, language)) < 70_000
        best = recommendation(history.follow())
        shown = [
            headline(job_status(theirs), history, language),
            loss_chart(history, language, best.step if best is not None else None),
            recommended_step(theirs.project, history, "", language),
            preview_tiles(theirs.project, history.previews, "", language),
            file_list(theirs.project, history, language, True),
        ]
        assert "ksh-000500" in shown[-1] and not any(LONG in part for part in shown)
    assert {step.step for step in history.steps} == {7, 8} and history.planned is not None


NAMED = [
    "//host/share/model",
    "\\\\host\\share\\x.safetensors",
    "/home/anna/models/x",
    "stranger/model",
    "x.safetensors",
]


@pytest.fixture
def stranger_project(project, tmp_path):
    """A function that restores a backup whose project and job name these settings."""

    def make(project_settings, **job_settings):
        job = create_job(project, "train", TrainConfig(**{"base_model": "pocket"} | job_settings))
        project.change(**project_settings)
        back_up(project, tmp_path / "b.zip")
        theirs = restore(tmp_path / "b.zip", project.workspace, known_models=registered_names())
        return type(job)(theirs.jobs / job.id, theirs)

    return make


@pytest.mark.parametrize("name", NAMED)
def test_a_restored_project_uses_no_model_by_itself_until_it_is_allowed(stranger_project, name):
    theirs = stranger_project({"base_model": name, "captioner": name})
    settings = theirs.project.settings()
    assert settings.base_model is None and settings.captioner is None
    assert name in read_set_aside(theirs.project).names()
    allow(theirs.project)
    settings = theirs.project.settings()
    assert settings.base_model == settings.captioner == name and read_set_aside(theirs.project) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"base_model": "//host/share/model"},
        {"base_model": "stranger/model"},
        {"report_to": "wandb"},
        {"init_lora": "x"},
    ],
)
def test_a_job_of_a_backup_that_names_more_does_not_go_on_until_it_is_allowed(stranger_project, settings):
    theirs = stranger_project({}, **settings)
    for begin in (begin_job, lambda job: list(run_job(job, lambda _: iter([])))):
        with pytest.raises(StudioError) as error:
            begin(theirs)
        assert error.value.sentence.key == "backup.job_set_aside"
        assert next(iter(settings.values())) in str(error.value)
    decline(theirs.project)
    with pytest.raises(StudioError):
        begin_job(theirs)
    allow(theirs.project)
    assert list(run_job(theirs, lambda _: iter([]))) == []


def test_an_honest_backup_asks_nothing(stranger_project):
    theirs = stranger_project({"base_model": "pocket", "captioner": "blip2-opt-2.7b"})
    assert read_set_aside(theirs.project) is None
    assert (theirs.project.settings().base_model, theirs.project.settings().captioner) == ("pocket", "blip2-opt-2.7b")


def test_a_backup_brings_no_answer_of_its_own(job, tmp_path):
    back_up(job.project, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "a") as archive:
        archive.writestr("set-aside.json", "{}")
    with pytest.raises(StudioError) as error:
        restore(tmp_path / "b.zip", job.project.workspace)
    assert error.value.sentence.key == "backup.unsafe"
