import pytest


def kinds(said):
    return [event.kind for event in said]


def test_a_run_says_everything_and_ends_in_a_lora(lesson):
    made = lesson(checkpointing_steps=3, validation_steps=3)
    said = made.run()
    steps = [event for event in said if event.kind == "step"]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert {event.total for event in steps} == {6}
    assert [event.step for event in said if event.kind == "preview"] == [0, 3, 6]
    assert [event.step for event in said if event.kind == "checkpoint"] == [3, 6]
    loras = [event for event in said if event.kind == "lora"]
    assert [event.path.rsplit("/", 1)[1] for event in loras] == ["ksh-000003.safetensors", "ksh-000006.safetensors"]
    assert all((made.project.root / event.path).exists() for event in said if hasattr(event, "path"))
    (started,) = [event for event in said if event.kind == "started"]
    assert started.total == 6 and started.device == "cpu, fp32"
    assert said[-1].kind == "finished" and said[-1].figures["steps"] == 6 and said[-1].figures["images_seen"] == 12
    assert said[-1].figures["final_loss"] == pytest.approx(steps[-1].ema_loss, abs=1e-4)
