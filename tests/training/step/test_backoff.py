"""Too little memory: the same step again with less of it, then a sentence with numbers."""

import pytest
import torch

from ksh_studio.generation.sampling import denoising
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.measures import previews
from ksh_studio.training.memory.out_of_memory import out_of_memory
from ksh_studio.training.step import backoff as back_off
from ksh_studio.training.step.step import Stepper

GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB")
CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 3000000000 bytes.")


class Short:
    """A device on which only batches of at most `most` drawings fit, from step `since` on."""

    def __init__(self, monkeypatch, most, since=0, error=GPU, checkpointing_helps=False):
        self.most, self.since, self.error, self.helps = most, since, error, checkpointing_helps
        self.asked = []
        original, draw = Stepper.loss, Stepper.sample_batch
        self.index = 0

        def compare(own, latents, *others):
            self.asked.append(len(latents))
            most = 99 if self.helps and own.base.unet.is_gradient_checkpointing else self.most
            if torch.is_grad_enabled() and len(latents) > most and self.index >= self.since:
                raise self.error
            return original(own, latents, *others)

        def drawn(own, bucket, items, rows, index):
            self.index = index
            return draw(own, bucket, items, rows, index)

        monkeypatch.setattr(Stepper, "loss", compare)
        monkeypatch.setattr(Stepper, "sample_batch", drawn)


def warnings(said):
    return [(event.key, event.values.get("split")) for event in said if event.kind == "warned"]


@pytest.mark.parametrize("error", [GPU, CPU])
def test_a_batch_that_does_not_fit_is_cut_and_learns_the_same(error, lesson, monkeypatch):
    plain = lesson(max_train_steps=3, train_batch_size=4, learning_rate=1e-4)
    plain.run()
    Short(monkeypatch, most=1, error=error)
    made = lesson(max_train_steps=3, train_batch_size=4, learning_rate=1e-4)
    said = made.run()
    assert warnings(said) == [("preflight.split", "2"), ("preflight.split", "4")]
    plan = next(event for event in said if event.kind == "planned")
    assert plan.split == 4 and not plan.gradient_checkpointing
    wanted, losses = ([event.loss for event in one.of("step")] for one in (plain, made))
    assert losses == pytest.approx(wanted, rel=1e-4) and len(losses) == 3
    one, other = (load_newest(run.job.checkpoints).tensors for run in (plain, made))
    for name in one:
        if name.startswith("weight/"):
            assert torch.allclose(one[name], other[name], atol=1e-4), name


def test_then_activations_are_not_kept(lesson, monkeypatch):
    Short(monkeypatch, most=0, checkpointing_helps=True)
    said = lesson(max_train_steps=2).run()
    assert [key for key, _ in warnings(said)] == ["preflight.split", "preflight.checkpointing"]
    plan = next(event for event in said if event.kind == "planned")
    assert plan.split == 2 and plan.gradient_checkpointing and said[-1].kind == "finished"


def test_then_a_sentence_says_the_numbers(lesson, monkeypatch):
    Short(monkeypatch, most=0)
    made = lesson(max_train_steps=2)
    said = made.run()
    assert [key for key, _ in warnings(said)] == ["preflight.split", "preflight.checkpointing"]
    assert said[-1].key == "train.out_of_memory" and not made.of("step")
    numbers = {name: float(said[-1].values[name]) for name in ("needed", "free", "total")}
    assert numbers["needed"] > 2.1 and 0 < numbers["free"] < numbers["total"]  # the 2 GiB that were asked, and torch
    assert f"{numbers['free']} of {numbers['total']} GB are free" in said[-1].text()


def test_a_step_that_failed_half_way_moves_nothing_and_is_made_again_with_the_same_numbers(lesson, monkeypatch):
    """Memory runs out in the second micro-step of step 2; what is learnt is what a run in parts learns."""
    values = {"max_train_steps": 4, "gradient_accumulation_steps": 2, "learning_rate": 1e-4}
    plain = lesson(**values)
    plain.run()
    device = Short(monkeypatch, most=1, since=10**9)
    monkeypatch.setattr("ksh_studio.training.stage.measured_plan", lambda run: iter(()))
    made = lesson(**values)
    device.since = 3
    said = made.run()
    assert warnings(said) == [("preflight.split", "2")]
    kinds = [event.kind for event in said]
    assert kinds.index("warned") > kinds.index("step") and [event.step for event in made.of("step")] == [1, 2, 3, 4]
    losses, wanted = ([event.loss for event in one.of("step")] for one in (made, plain))
    assert losses[0] == wanted[0] and losses == pytest.approx(wanted, rel=1e-4)
    one, other = (load_newest(run.job.checkpoints).tensors for run in (plain, made))
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one if name.startswith("weight/"))


def test_a_resumed_run_goes_on_as_it_was_made_to_fit(lesson, monkeypatch):
    device = Short(monkeypatch, most=1)
    values = {"max_train_steps": 4, "learning_rate": 1e-3}
    straight, stopped = lesson(**values), lesson(**values)
    straight.run()
    stopped.run(stop_after=2)
    assert load_newest(stopped.job.checkpoints).state["fitting"] == {"split": 2, "gradient_checkpointing": False}
    device.asked.clear()
    again = stopped.run()
    assert warnings(again) == [] and set(device.asked) == {1}
    one, other = (load_newest(run.job.checkpoints).tensors for run in (straight, stopped))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_in_half_precision_the_scaler_is_not_left_half_way(stepper, monkeypatch):
    made = []

    def make():
        made.append(stepper("fp16") if not made else Stepper(*made[0]))
        if isinstance(made[0], Stepper):
            first = made[0]
            made[0] = (first.base, first.data, first.training_state, list(range(5)))
            return first
        return made[-1]

    fit = back_off.BackOff(make)
    original, calls = torch.optim.AdamW.step, []

    def short(self, *args, **options):
        calls.append(1)
        if len(calls) == 1:
            raise GPU
        return original(self, *args, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", short)
    scale = fit.stepper.training_state.scaler.state_dict()
    work = fit.step()
    warning = next(work)
    with pytest.raises(StopIteration) as end:
        next(work)
    assert warning.key == "preflight.split" and end.value.value[1].item() == 1.0
    assert (
        fit.stepper.training_state.step == 1
        and fit.stepper.training_state.scaler.state_dict()["scale"] == scale["scale"]
    )


def test_other_errors_are_not_taken_for_memory(lesson, monkeypatch):
    monkeypatch.setattr(Stepper, "loss", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes do not match")))
    with pytest.raises(AssertionError, match="shapes do not match"):
        lesson().run()


def test_what_was_asked_is_read_from_torchs_words(settings):
    config = settings()
    device = torch.device("cpu")
    little = out_of_memory(config, device, RuntimeError("out of memory"))
    much = out_of_memory(config, device, CPU)
    assert float(much.sentence.values["needed"]) - float(little.sentence.values["needed"]) == pytest.approx(
        3.0, abs=0.2
    )


def test_a_preview_is_drawn_once_more_in_tiles_and_never_ends_a_run(lesson, monkeypatch):
    tries = []

    def make_pictures(base, request, seeds, on_step):
        tries.append(base.vae.use_tiling)
        if not base.vae.use_tiling or len(tries) > 2:
            raise GPU
        return denoising.make_pictures(base, request, seeds, on_step)

    monkeypatch.setattr(previews, "make_pictures", make_pictures)
    made = lesson(max_train_steps=2)
    said = made.run()
    assert tries == [False, True, False, True] and said[-1].kind == "finished"
    assert [event.step for event in made.of("preview")] == [0]
    (warning,) = [event for event in said if event.kind == "warned"]
    assert warning.key == "train.preview_failed" and "memory" in warning.values["why"]
