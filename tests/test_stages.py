from ksh_studio.config import CaptionConfig, ExportConfig, ImportConfig, TrainConfig
from ksh_studio.events import Finished
from ksh_studio.jobs.folder import StageName
from ksh_studio.jobs.start import create_job
from ksh_studio.models.registry import base_entry
from ksh_studio.stages import STAGES, stage_events
from ksh_studio.training.plan.settle import resolve


def test_every_stage_that_a_job_can_have_is_in_the_table():
    assert set(STAGES) == set(StageName.__args__)


def test_a_job_is_done_by_its_own_stage_with_settings_of_its_own_class(project, monkeypatch):
    calls = []

    def stage(name):
        return lambda config, *_: calls.append((name, config)) or iter([Finished(key="train.finished")])

    monkeypatch.setattr("ksh_studio.drawings.stage.import_for_job", stage("import"))
    monkeypatch.setattr("ksh_studio.drawings.stage.export_for_job", stage("export"))
    monkeypatch.setattr("ksh_studio.captions.stage.caption", stage("caption"))
    monkeypatch.setattr("ksh_studio.training.preflight.check.check", stage("check"))
    monkeypatch.setattr("ksh_studio.training.stage.train", stage("train"))
    check, train = (resolve(TrainConfig(rank=rank), base_entry("pocket"), drawings=40) for rank in (8, 4))
    settings = {
        "import": ImportConfig(sources=("/a",)), "export": ExportConfig(format="txt"),
        "caption": CaptionConfig(seed=3), "check": check, "train": train,
    }  # fmt: skip
    for name, config in settings.items():
        list(stage_events(create_job(project, name, config)))
    assert calls == list(settings.items())
