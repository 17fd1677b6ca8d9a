"""Handlers of the Train tab, called as the guard calls them, on jobs whose events were written by hand."""

import json
from dataclasses import fields, is_dataclass, replace

import gradio as gr
import pytest

from ksh_studio.config import TrainConfig, Trigger
from ksh_studio.disk import locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Finished, LoraSaved, Paused, Planned, Stopped, Validated
from ksh_studio.jobs.queue import queued_jobs
from ksh_studio.jobs.start import create_job
from ksh_studio.locales import Sentence
from ksh_studio.lora.file.header import read_header
from ksh_studio.presets import ORIGINAL_PROMPT, TRAIN_PRESETS
from ksh_studio.project.catalogue import Catalogue, NewDrawing
from ksh_studio.training.plan.estimate import estimate
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.outputs import UNCHANGED, News
from ksh_studio.ui.train import publish as publishing
from ksh_studio.ui.train.actions import lora_of, pause, preview_now
from ksh_studio.ui.train.files import train_on, use_settings
from ksh_studio.ui.train.merge import merge
from ksh_studio.ui.train.plan import measured, settings_to_use, show_plan, show_presets
from ksh_studio.ui.train.plan_card import plan_card
from ksh_studio.ui.train.queue import dequeue, queue
from ksh_studio.ui.train.settings import FORM, OPEN, TOUCHED, preset_values
from ksh_studio.ui.train.watch import poll
from tests.jobs.written_jobs import append, job_with, step
from tests.tiny import tiny_lora_file


@pytest.fixture
def owner(studio) -> Visit:
    return Visit(studio, "owner", "en", studio.workspace, "owner")


@pytest.fixture
def drawn(project):
    """A pocket project with three captioned drawings in its catalogue."""
    project.change(base_model="pocket")
    with Catalogue(project) as catalogue:
        for number in range(3):
            values = {"original_name": "a.png", "source_path": "x", "width": 128, "height": 128}
            name = f"{number:016x}"
            catalogue.add(NewDrawing(id=name, file_sha256=name, pixel_sha256=name, **values))
            catalogue.save_caption(name, "a cat")
    return project


def lora_saved(job, step):
    """The event of a LoRA file of this step, which is written."""
    path = tiny_lora_file(job.loras / f"x-{step:06d}.safetensors")
    return LoraSaved(step=step, path=job.project.relative(path))


def shown(visit, project, job_id="", seen=None):
    """What the page remembers after a poll, and what the poll sends, by name; what is unchanged is left out."""
    answer = poll(visit, project.slug, job_id, seen)
    assert isinstance(answer, News)
    return answer.seen, dict(leaves(answer.display))


def leaves(display):
    for field in fields(display):
        value = getattr(display, field.name)
        if is_dataclass(value):
            yield from leaves(value)
        elif value is not UNCHANGED:
            yield field.name, value


def visible(sent):
    return {name for name, part in sent.items() if isinstance(part, dict) and part.get("visible")}


def ended_as(project, *events):
    job = job_with(project, *events)
    (job.folder / "process.json").write_text("{}")
    return job


def test_every_setting_has_one_place_and_one_group():
    assert len(FORM) == len(set(FORM)) and set(TrainConfig.model_fields) - set(FORM) == {"base_model"}


def test_a_preset_sets_back_what_another_has_set_and_leaves_the_rest_alone(owner):
    original = preset_values(owner, "", "original", "")
    quick = preset_values(owner, "", "quick", "")
    assert (original["num_train_epochs"], quick["num_train_epochs"]) == ("20", "")
    assert (quick["effort"], original["effort"], quick["max_train_steps"]) == ("quick", "balanced", "")
    assert not {"name", "init_lora", "num_processes", "report_to"} & set(TOUCHED)
    assert all(set(preset) <= set(TOUCHED) for preset in TRAIN_PRESETS.values())


def test_preview_prompts_that_a_person_typed_stay_when_a_preset_is_chosen(owner):
    chosen = preset_values(owner, "", "original", "")
    assert chosen["validation_prompts"] == ORIGINAL_PROMPT
    assert preset_values(owner, "", "balanced", ORIGINAL_PROMPT)["validation_prompts"] == ""
    assert "validation_prompts" not in preset_values(owner, "", "original", "파란 머리, my own words")
    assert "validation_prompts" not in preset_values(owner, "", "quick", "파란 머리, my own words")


def test_the_originals_preview_prompt_calls_the_style_of_this_project(owner, drawn):
    drawn.change(trigger=Trigger(text="drawn by 민지").model_dump())
    prompts = preset_values(owner, drawn.slug, "original", "")["validation_prompts"]
    assert prompts == ORIGINAL_PROMPT.replace("drawn by KSH drawing style", "drawn by 민지") != ORIGINAL_PROMPT
    assert preset_values(owner, drawn.slug, "balanced", prompts)["validation_prompts"] == ""


def test_the_plan_is_a_card_and_its_numbers_stand_in_the_empty_fields(owner, drawn):
    plan = show_plan(owner, drawn.slug, max_train_steps="40")
    assert "40 steps of" in plan.card and "Pocket" in plan.card and "Check first measures it" in plan.card
    assert plan.numbers["max_train_steps"].placeholder == "40" and set(plan.numbers) == set(OPEN)
    refused = show_plan(owner, drawn.slug, rank="0")
    assert "at least 1" in refused.card and refused.numbers is UNCHANGED


def test_the_plan_is_one_sentence_and_its_figures_are_folded(owner, drawn):
    sentence, details = show_plan(owner, drawn.slug, max_train_steps="40").card.split("<details")
    assert "3 drawings, 40 steps, " in sentence and "“Check first” finds out how long" in sentence
    assert "40 steps of" in details and "40 steps of" not in sentence and "<details open" not in details
    aside = show_plan(owner, drawn.slug, max_train_steps="40", validation_share="0.34").card.split("<details")[0]
    assert "2 drawings, " in aside and "1 more is kept aside" in aside
    korean = show_plan(replace(owner, language="ko"), drawn.slug, max_train_steps="40").card
    assert "그림 3장, 40스텝, 디스크 " in korean and "‘먼저 점검’을 누르면 알 수" in korean


def test_what_the_plan_warns_of_stands_outside_of_what_is_folded(owner, drawn):
    values = {"max_train_steps": "40", "train_batch_size": "1"}
    _, config = settings_to_use(owner, drawn.slug, values)
    append(create_job(drawn, "check", config), planned(split=2))
    cost = replace(estimate(config, drawn), disk_free_mb=0.0)
    change = Sentence(key="train_tab.not_here")
    outside = plan_card(cost, config, measured(owner, drawn, config, cost), "en", (change,)).split("<details")[0]
    assert outside.count("ksh-warn") == 2 and outside.count("ksh-bad") == 1
    assert "3 drawings, about 12 s, " in outside and "finds out" not in outside


def test_without_drawings_the_plan_says_where_to_begin(owner, project):
    assert "Caption tab" in show_plan(owner, project.slug).card
    assert ("Quick\na first look", "quick") in show_presets(owner, project.slug).choices


def test_presets_show_their_steps_for_these_drawings(owner, drawn):
    labels = [label for label, _ in show_presets(owner, drawn.slug).choices]
    assert [name for _, name in show_presets(owner, drawn.slug).choices] == list(TRAIN_PRESETS)
    assert all("steps" in label.splitlines()[1] for label in labels) and len(set(labels)) == len(labels)


def test_the_original_on_a_base_model_of_another_size_says_what_it_changed(owner, drawn):
    values = preset_values(owner, drawn.slug, "original", "")
    assert (values["resolution"], values["seed"], values["checkpointing_steps"]) == ("", 5508, "4000")
    assert preset_values(owner, "", "original", "")["resolution"] == "512"
    sentence = "Trained at 128 px, the size of Pocket, instead of the preset&#39;s 512 px."
    assert sentence in show_plan(owner, drawn.slug, "original", **values).card
    assert sentence not in show_plan(owner, drawn.slug, "original", **values | {"resolution": "64"}).card
    assert sentence not in show_plan(owner, drawn.slug, "balanced").card
    korean = replace(owner, language="ko")
    assert "512픽셀 대신" in show_plan(korean, drawn.slug, "original", **values).card


def planned(**values):
    given = {"drawings": 3, "held_out": 0, "buckets": ((128, 128, 3),), "steps": 40, "epochs": 13.0, "split": 1}
    given |= {"train_batch_size": 1, "gradient_checkpointing": False, "seconds": 12.0, "memory_mb": 700.0}
    return Planned(**(given | {"memory_total_mb": 8000.0, "disk_mb": 9.0, "disk_free_mb": 1e4} | values))


def test_a_check_of_the_same_settings_is_shown_as_measured_and_of_others_is_not(owner, drawn):
    values = {"max_train_steps": "40", "train_batch_size": "1"}
    _, config = settings_to_use(owner, drawn.slug, values)
    append(create_job(drawn, "check", config), planned(split=2))
    card = show_plan(owner, drawn.slug, **values).card
    assert "measured on this machine" in card and "0.7 of 8.0 GB" in card and "in 2 parts" in card
    assert "measured on this machine" not in show_plan(owner, drawn.slug, **values | {"rank": "2"}).card
    cost = estimate(config, drawn)
    assert measured(owner, drawn, config.model_copy(update={"name": "other", "seed": 1}), cost) is not None
    assert measured(owner, drawn, config, replace(cost, drawings=4)) is None


def test_a_presets_line_and_its_plan_say_the_same_time(owner, drawn):
    values = preset_values(owner, drawn.slug, "quick", "")
    _, config = settings_to_use(owner, drawn.slug, values)
    append(create_job(drawn, "check", config), planned(seconds=301.0))
    [line] = [label for label, name in show_presets(owner, drawn.slug).choices if name == "quick"]
    assert line == "Quick · about 5 min\na first look · 120 steps"
    assert "about 5 min" in show_plan(owner, drawn.slug, "quick", **values).card


@pytest.mark.parametrize(
    ("epochs", "words"),
    [(0.59, "each drawing 0.6 times"), (0.004, "each drawing 0.004 times"), (1.0, "each drawing once"),
     (2.0, "each drawing 2 times"), (1.5, "each drawing 1.5 times"), (13.4, "each drawing 13 times")],
)  # fmt: skip
def test_how_often_each_drawing_is_seen_is_not_rounded_away(owner, drawn, epochs, words):
    _, config = settings_to_use(owner, drawn.slug, {})
    assert words in plan_card(replace(estimate(config, drawn), epochs=epochs), config, None, "en")


def test_nothing_trained_shows_the_settings_open_and_no_buttons_of_a_job(owner, drawn):
    _, sent = shown(owner, drawn)
    assert visible(sent) == {"new", "start", "check"} and sent["new"]["open"]
    assert "Nothing has been trained" in sent["status"]


def test_nobody_is_told_to_press_train_before_there_is_a_caption(owner, project):
    _, sent = shown(owner, project)
    assert sent["status"] == ""


def test_what_has_not_changed_is_not_sent_again(owner, drawn):
    job = ended_as(drawn, step(1), step(2))
    seen, first = shown(owner, drawn)
    assert {"status", "chart", "pause", "steps", "earlier"} <= set(first)
    assert poll(owner, drawn.slug, "", seen) is UNCHANGED
    append(job, step(3))
    _, later = shown(owner, drawn, seen=seen)
    assert set(later) == {"chart"}  # a job that died: its status says nothing of steps


@pytest.mark.parametrize(
    ("last", "buttons"),
    [
        (Paused(key="train.stopped", values={"step": "2", "total": "9"}), {"resume", "stop"}),
        (Stopped(key="train.stopped", values={"step": "2", "total": "9"}), {"resume"}),
        (Finished(key="train.finished", values={"steps": "2", "name": "x"}), set()),
    ],
)
def test_the_buttons_are_those_of_the_jobs_state(owner, drawn, last, buttons):
    ended_as(drawn, step(1), step(2), last)
    _, sent = shown(owner, drawn)
    assert visible(sent) & {"stop", "pause", "resume", "end", "preview_row"} == buttons


def test_a_job_whose_process_died_is_said_so_with_its_log_and_resume(owner, drawn):
    job = ended_as(drawn, step(1), step(2))
    job.log.write_text("Killed <b>")
    _, sent = shown(owner, drawn)
    assert "ended unexpectedly" in sent["status"] and "Killed &lt;b&gt;" in sent["chart"]
    assert "resume" in visible(sent)
    guest = Visit(owner.studio, "guest", "en", owner.workspace, "guest:a")
    _, seen_by_guest = shown(guest, drawn)
    assert "Killed" not in str(seen_by_guest) and "<svg" in seen_by_guest["chart"]
    assert not visible(seen_by_guest) & {"new", "start", "resume", "check", "open_folder", "more"}


def test_while_one_works_another_is_lined_up_listed_and_taken_out(owner, drawn):
    job = job_with(drawn, step(1), step(2))
    with locked(job.lock, "job.running"):
        queue(owner, drawn.slug, max_train_steps="40")
        _, sent = shown(owner, drawn)
        assert {"queue", "pause", "stop", "preview_row"} <= visible(sent) and "start" not in visible(sent)
        assert "40 steps" in sent["waiting"] and "Step 2 of" in sent["status"]
        [waiting] = queued_jobs(drawn.workspace)
        dequeue(owner, event(f"{drawn.slug}/{waiting.id}"))
        assert queued_jobs(drawn.workspace) == []
        with pytest.raises(StudioError, match="does not wait"):
            dequeue(owner, event(f"{drawn.slug}/{waiting.id}"))


def event(value):
    return gr.EventData(None, {"value": value})


def test_pause_and_preview_now_are_words_for_the_job(owner, drawn, monkeypatch):
    monkeypatch.setattr(gr, "Info", lambda *_, **__: None)
    job = job_with(drawn, step(1))
    pause(owner, drawn.slug, "")
    preview_now(owner, drawn.slug, "", " a wizard ")
    preview_now(owner, drawn.slug, "", "")
    assert job.pause_requested()
    assert [asked.prompt for asked in job.take_requested_previews()] == ["a wizard", "drawn by KSH drawing style"]


def test_the_recommended_lora_is_used_and_any_other_by_its_step(owner, drawn):
    job = create_job(drawn, "train", TrainConfig())
    looks = [Validated(step=n, loss=loss) for n, loss in ((10, 0.3), (20, 0.1), (30, 0.4))]
    saved = [lora_saved(job, n) for n in (10, 20, 30)]
    append(job, *looks, *saved)
    folder = f"projects/{drawn.slug}/jobs/{job.id}/loras"
    assert lora_of(owner, drawn.slug, "") == f"{folder}/x-000020.safetensors"
    assert lora_of(owner, drawn.slug, "", 30) == f"{folder}/x-000030.safetensors"
    with pytest.raises(StudioError):
        lora_of(owner, drawn.slug, "", 11)
    (job.loras / "x-000030.safetensors").write_bytes(b"no LoRA any more")
    with pytest.raises(StudioError, match="expected a file of the kind .safetensors"):
        lora_of(owner, drawn.slug, "", 30)
    _, sent = shown(owner, drawn)
    assert "Step 20 is recommended" in sent["recommended"] and sent["files"].count("data-pick") == 3
    assert "use_lora" in visible(sent)


def test_a_new_training_begins_with_the_lora_picked_and_leaves_its_size_to_the_file(owner, drawn):
    job = create_job(drawn, "train", TrainConfig(adapter="dora", rank=8))
    append(job, *(lora_saved(job, n) for n in (10, 20)))
    new = train_on(owner, drawn.slug, "", [20])
    assert new.form.pop("init_lora").endswith("x-000020.safetensors")
    assert new.form == {"adapter": "dora", "rank": "", "lora_alpha": "", "target_modules": "auto"}
    assert new.accordion["open"]


def test_the_settings_of_a_training_fill_the_form_again(owner, drawn):
    _, config = settings_to_use(owner, drawn.slug, {"max_train_steps": "40", "rank": "3", "validation_prompts": "a\nb"})
    job = create_job(drawn, "train", config)
    again = use_settings(owner, drawn.slug, job.id)
    assert set(again.form) == set(FORM) and again.accordion["open"]
    assert (again.form["max_train_steps"], again.form["rank"], again.form["validation_prompts"]) == ("40", "3", "a\nb")
    assert settings_to_use(owner, drawn.slug, again.form)[1] == config
    damaged = json.loads((job.folder / "job.json").read_text())
    damaged["settings"]["rank"] = -1
    (job.folder / "job.json").write_text(json.dumps(damaged))
    with pytest.raises(StudioError, match="Rank"):
        use_settings(owner, drawn.slug, job.id)


def test_what_can_be_done_with_an_ended_training_is_shown_to_those_who_may_train(owner, drawn):
    job = ended_as(drawn, step(1), step(2))
    append(job, lora_saved(job, 2), Finished(key="train.finished", values={"steps": "2", "name": "x"}))
    offered = {"train_on", "use_settings"}
    assert offered <= visible(shown(owner, drawn)[1])
    guest = Visit(owner.studio, "guest", "en", owner.workspace, "guest:a")
    assert not offered & visible(shown(guest, drawn)[1])


def test_only_what_was_shown_is_pushed(owner, drawn, monkeypatch):
    sent = []
    monkeypatch.setattr(publishing, "upload", lambda publication: sent.append(publication) or "https://hub/me/x")
    job = create_job(drawn, "train", TrainConfig())
    job.loras.mkdir()
    tiny_lora_file(job.loras / "x-000010.safetensors")
    append(job, LoraSaved(step=10, path=f"jobs/{job.id}/loras/x-000010.safetensors"))
    lora, where = (drawn.slug, "", []), {"repository": " me/x ", "licence": "", "private": True}
    dry_run = publishing.list_files(owner, *lora, **where)
    assert "x-000010.safetensors" in dry_run.message and "README.md" in dry_run.message
    assert dry_run.publish["visible"] and sent == []
    for other in ("", "0" * 64, None):
        with pytest.raises(StudioError, match="has changed"):
            publishing.publish(owner, *lora, other, **where)
    with pytest.raises(StudioError, match="has changed"):
        publishing.publish(owner, *lora, dry_run.fingerprint, **where | {"private": False})
    assert sent == []
    done = publishing.publish(owner, *lora, dry_run.fingerprint, **where)
    assert "https://hub/me/x" in done.message and [publication.private for publication in sent] == [True]


def test_files_picked_are_averaged_in_a_process_of_their_own(owner, drawn):
    job = create_job(drawn, "train", TrainConfig())
    job.loras.mkdir()
    for number in (10, 20):
        tiny_lora_file(job.loras / f"x-{number}.safetensors")
        append(job, LoraSaved(step=number, path=f"jobs/{job.id}/loras/x-{number}.safetensors"))
    with pytest.raises(StudioError):
        merge(owner, drawn.slug, "", [10])
    message = merge(owner, drawn.slug, "", [10, 20])
    [made] = owner.workspace.loras.glob("*.safetensors")
    assert "ksh-good" in message and made.name.endswith("-10-20.safetensors")
    assert read_header(made).metadata


@pytest.mark.parametrize(("error", "sentence"), [(StudioError("job.none"), "no training yet"), (ValueError(), "wrong")])
def test_what_goes_wrong_in_a_tick_stands_where_the_state_of_the_job_does(opened, monkeypatch, error, sentence):
    page = opened("owner")
    page.tick()

    def fails(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("ksh_studio.ui.train.watch.jobs_now", fails)
        assert sentence in page.tick()["train-status"]
        assert "train-status" not in page.tick()
    assert page.tick()["train-status"] == ""
