import pytest

from ksh_studio.errors import StudioError
from ksh_studio.events import Finished, Planned, Step
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.start import create_job
from ksh_studio.models.registry import ANYTHING, base_entry
from ksh_studio.training.plan.estimate import estimate
from ksh_studio.training.plan.forecast import Remaining, needed_mb, remaining
from ksh_studio.training.plan.lora_size import SD15_PER_RANK, lora_numbers
from ksh_studio.training.plan.settle import resolve


@pytest.fixture
def config(settings, base_folder):
    return resolve(settings(validation_share=0.2), base_entry(str(base_folder)), 5)


def planned(seconds, steps):
    return Planned(drawings=4, held_out=1, buckets=(), steps=steps, epochs=1, train_batch_size=2, split=1,
                   gradient_checkpointing=False, seconds=seconds, memory_mb=1, memory_total_mb=1, disk_mb=1,
                   disk_free_mb=1)  # fmt: skip


def test_it_counts_what_there_is(config, project, drawings):
    told = estimate(config, project)
    assert (told.drawings, told.held_out, told.steps, told.epochs) == (4, 1, 6, 3.0)
    assert sum(count for *_, count in told.buckets) == 4
    assert all(width % 64 == 0 and height % 64 == 0 for width, height, _ in told.buckets)
    assert told.seconds is None and 0 < told.disk_mb < told.disk_free_mb


def test_the_loras_size_is_told_from_the_bases_files(config, base_folder):
    tiny = base_entry(str(base_folder))
    assert lora_numbers(config, tiny) == config.rank * lora_numbers(config.model_copy(update={"rank": 1}), tiny)
    assert 0 < lora_numbers(config, tiny) < SD15_PER_RANK["transformer"] * config.rank
    whole = config.model_copy(update={"rank": 32, "target_modules": "transformer"})
    assert lora_numbers(whole, ANYTHING) == 13_565_952  # that of peft's LoRA on the real UNet


def test_the_pace_is_an_earlier_jobs_with_the_same_settings(config, project, drawings):
    other = create_job(project, "train", config.model_copy(update={"rank": 8}))
    with Journal(other.events_file) as journal:
        journal.append(planned(600, 6))
    assert estimate(config, project).seconds is None
    check = create_job(project, "check", config.model_copy(update={"max_train_steps": 60}))
    with Journal(check.events_file) as journal:
        journal.append(planned(30, 60))
    assert estimate(config, project).seconds == 3.0
    done = create_job(project, "train", config)
    with Journal(done.events_file) as journal:
        journal.append(planned(600, 6))
        for step in (1, 2):
            journal.append(Step(step=step, total=2, loss=1, ema_loss=1, learning_rate=1, seconds=10.0 * step))
        journal.append(Finished(key="train.finished", values={"steps": "2", "name": "x"}))
    assert estimate(config, project).seconds == 60.0


def test_what_is_left_is_counted_from_where_the_job_stands(config):
    config = config.model_copy(update={"max_train_steps": 10, "validation_steps": 4, "checkpointing_steps": 3})
    assert remaining(config, 0) == Remaining(steps=10, evaluations=4, saves=4)  # 0 4 8 10; 3 6 9 10
    assert remaining(config, 8) == Remaining(steps=2, evaluations=2, saves=2)
    assert remaining(config, 10) == Remaining(steps=0, evaluations=1, saves=1)
    assert needed_mb(Remaining(1000, 4, 3), 10.0, 100.0, 2.0) == 3 * 12 + 4 * 100 + 4 * 2 + 0.3


def test_a_project_without_drawings_is_one_sentence(config, project):
    with pytest.raises(StudioError, match="no drawing"):
        estimate(config, project)
