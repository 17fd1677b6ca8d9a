from ksh_studio.lora.file.header import read_header
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.data.holdout import frozen, held_out, held_out_count
from tests.training.lessons import add_drawing


def test_held_out_drawings_are_a_fixed_share():
    assert held_out(40, 0.2, 1) == held_out(40, 0.2, 1) != held_out(40, 0.2, 2)
    assert len(held_out(40, 0.2, 1)) == held_out_count(40, 0.2) == 8
    assert held_out(40, 0.0, 1) == set() and held_out(1, 0.5, 1) == set() and held_out(0, 0.5, 1) == set()


def test_what_was_held_out_when_a_job_began_stays_so():
    ids = [f"drawing {n}" for n in range(20)]
    before = {ids[n] for n in frozen(ids, 0.2, 1)}
    more = ["new", *ids[:7], "newer", *ids[8:]]  # two came, one went
    now = {more[n] for n in frozen(more, 0.2, 1, before)}
    assert now == before - {ids[7]} and len(before) == 4
    assert {more[n] for n in frozen(more, 0.2, 1)} != now  # chosen anew, they would be others
    assert frozen(more, 0.0, 1, before) == set()


def test_drawings_held_out_at_the_start_stay_so_when_others_come(lesson):
    made = lesson(max_train_steps=4, validation_share=0.4, validation_steps=2)
    made.run(stop_after=2)
    before = load_newest(made.job.checkpoints).state["held_out"]
    for number in range(20, 26):
        add_drawing(made.project, number, (96, 96))
    made.run()
    assert load_newest(made.job.checkpoints).state["held_out"] == before and len(before) == 2
    first, second = (event for event in made.of("planned"))
    assert (first.drawings, first.held_out, second.drawings, second.held_out) == (3, 2, 9, 2)
    assert [event.step for event in made.of("validated")] == [0, 2, 4]
    said = [read_header(made.project.root / event.path).metadata for event in made.of("lora")]
    assert [own["ss_num_train_images"] for own in said] == ["3", "9"]  # what only measures was not trained on
