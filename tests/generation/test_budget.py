"""One request may ask for much, not for anything: what is refused names how many pictures would be allowed."""

import pytest

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.generation.budget import MOST_CHUNKS, check_chunks, check_work
from ksh_studio.generation.request import settle
from ksh_studio.models.registry import ANYTHING


def request(**values):
    return settle(GenerateConfig(**values), ANYTHING)


@pytest.mark.parametrize(
    ("values", "chunks"),
    [
        ({"batch_size": 16, "num_inference_steps": 20}, 60),
        ({"batch_size": 16, "num_inference_steps": 75, "width": 1024, "height": 1024}, 4),
        ({"batch_size": 1, "num_inference_steps": 150, "width": 2048, "height": 2048}, 8),
        ({"batch_size": 16, "num_inference_steps": 50, "width": 2048, "height": 2048}, 1),
    ],
)
def test_what_an_artist_asks_for_is_allowed(values, chunks):
    check_work(request(**values), chunks)
    check_chunks(chunks)


def test_too_much_is_a_sentence_with_a_number_of_pictures_that_is_allowed():
    large = {"num_inference_steps": 100, "width": 2048, "height": 2048}
    with pytest.raises(StudioError) as error:
        check_work(request(batch_size=16, **large), 8)
    assert error.value.sentence.key == "generate.much_work"
    most = int(error.value.sentence.values["most"])
    check_work(request(batch_size=most, **large), 8)
    with pytest.raises(StudioError):
        check_work(request(batch_size=most + 1, **large), 8)


def test_a_prompt_has_a_largest_number_of_chunks():
    check_chunks(MOST_CHUNKS)
    with pytest.raises(StudioError) as error:
        check_chunks(MOST_CHUNKS + 1)
    assert str(MOST_CHUNKS) in error.value.text("ko")
