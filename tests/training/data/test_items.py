import pytest
import torch

from ksh_studio.training.checkpoint import load_newest


@pytest.mark.parametrize("harm", ["delete", "break"])
def test_drawings_that_vanish_or_break_while_training_do_not_matter(harm, lesson, drawings):
    def hurt():
        for drawing in drawings:
            path = drawing.path(made.project)
            path.unlink() if harm == "delete" else path.write_bytes(b"RIFF no picture")

    made, straight = lesson(max_train_steps=4), lesson(max_train_steps=4)
    straight.run()
    made.run(stop_after=2)
    hurt()
    said = made.run()  # from the latents in the cache
    assert said[-1].kind == "finished" and not [event for event in said if event.kind == "warned"]
    one, other = (load_newest(run.job.checkpoints).tensors for run in (straight, made))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_broken_or_missing_drawing_is_named_and_left_out_before_the_start(lesson, drawings):
    made = lesson(max_train_steps=2)
    drawings[0].path(made.project).write_bytes(b"")
    drawings[1].path(made.project).unlink()
    said = made.run()
    named = {(event.key, event.values["name"]) for event in said if event.kind == "warned"}
    assert named == {("train.drawing_unreadable", "그림 0.png"), ("train.drawing_gone", "그림 1.png")}
    assert said[-1].kind == "finished" and made.of("planned")[0].drawings == 3


def test_where_no_drawing_can_be_read_each_is_named_and_nothing_starts(lesson, drawings):
    made = lesson(max_train_steps=2)
    for drawing in drawings:
        drawing.path(made.project).write_bytes(b"no picture")
    said = made.run()
    assert [event.key for event in said if event.kind == "warned"] == ["train.drawing_unreadable"] * len(drawings)
    assert (said[-1].kind, said[-1].key) == ("failed", "train.no_drawings")
