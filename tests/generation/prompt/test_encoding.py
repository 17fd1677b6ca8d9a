"""Prompts in chunks of 75 tokens, weights as A1111 applies them, clip skip in both layouts of the text encoder."""

import pytest
import torch

from ksh_studio.errors import StudioError
from ksh_studio.generation.prompt.encoding import caption_tokens, count, encode_captions, encode_prompts, split
from ksh_studio.generation.prompt.parse import parse, parse_prompts
from tests.tiny import pocket_clip_tokenizer

CHUNKS = [
    ("ink, " * 37 + "a lighthouse on a cliff", [74, 5], 80),
    ("fog " * 80, [75, 5], 80),
    ("fog " * 55 + ", " + "ink " * 30, [56, 30], 105),
    ("fog " * 54 + ", " + "ink " * 30, [75, 10], 85),
    ("fog " * 75 + ", " + "ink " * 3, [75, 4], 79),
    ("harbour BREAK gull", [1, 1], 76),
    ("harbour BREAK BREAK gull", [1, 0, 1], 151),
    ("(drawn by KSH drawing style : 1.5), an anime girl, blonde hair, green eyes, school uniform, smile", [20], 20),
    ("drawn by KSH drawing style", [5], 5),
    ("", [0], 0),
    ("a BREAK", [1], 1),
]


@pytest.fixture(scope="module")
def clip():
    tokenizer = pocket_clip_tokenizer()
    assert tokenizer is not None, "assets/pocket/base/tokenizer holds the real CLIP vocabulary"
    return tokenizer


@pytest.mark.parametrize(("text", "lengths", "counted"), CHUNKS)
def test_a_prompt_is_cut_into_chunks_as_the_table_says(clip, text, lengths, counted):
    chunks = split(clip, parse(text))
    assert [len(chunk.tokens) for chunk in chunks] == lengths
    assert count(chunks) == counted


def test_weights_move_with_their_tokens_over_a_comma(clip):
    chunks = split(clip, parse("fog " * 55 + ", (" + "ink " * 30 + ":1.5)"))
    assert [len(chunk.tokens) for chunk in chunks] == [56, 30]
    assert set(chunks[0].weights) == {1.0}
    assert chunks[1].weights == [1.5] * 30


def test_plain_text_is_encoded_as_the_text_encoder_itself_does(base):
    with torch.no_grad():
        encoded = encode_prompts(base, parse_prompts("a fox", ""), clip_skip=1)
        ids = base.tokenizer("a fox", padding="max_length", return_tensors="pt").input_ids
        expected = base.text_encoder(ids).last_hidden_state
    assert encoded.prompt_embeds.shape == (1, 77, 32)
    assert torch.equal(encoded.prompt_embeds, expected)


def test_the_shorter_prompt_is_lengthened_with_the_encoded_empty_prompt(base):
    with torch.no_grad():
        long = "fox, " * 40  # the tiny vocabulary has a token for each letter
        encoded = encode_prompts(base, parse_prompts(long, "bad"), clip_skip=1)
        empty = encode_prompts(base, parse_prompts("", ""), clip_skip=1).prompt_embeds
    chunks = encoded.prompt_embeds.shape[1] // 77
    assert chunks == 3
    assert encoded.padded
    assert encoded.negative_prompt_embeds.shape == encoded.prompt_embeds.shape
    for chunk in range(1, chunks):
        torch.testing.assert_close(encoded.negative_prompt_embeds[:, 77 * chunk : 77 * chunk + 77], empty)


def test_emphasis_multiplies_and_keeps_the_mean_of_the_chunk(base):
    with torch.no_grad():
        plain = encode_prompts(base, parse_prompts("a fox", ""), 1).prompt_embeds[0]
        heavy = encode_prompts(base, parse_prompts("a (fox:1.5)", ""), 1).prompt_embeds[0]
    weights = torch.ones(77)
    weights[2:5] = 1.5  # begin mark, a, f, o, x
    expected = plain * weights[:, None]
    expected *= plain.mean() / expected.mean()
    torch.testing.assert_close(heavy, expected)
    assert float(heavy.mean()) == pytest.approx(float(plain.mean()), rel=1e-4)
    assert abs(float(plain.mean())) > 0.05


def test_clip_skip_reads_an_earlier_layer_through_the_final_norm(base):
    with torch.no_grad():
        states = base.text_encoder(
            base.tokenizer("a fox", padding="max_length", return_tensors="pt").input_ids, output_hidden_states=True
        ).hidden_states
        norm = base.text_encoder.get_submodule("final_layer_norm")
        for skip in (1, 2, 3):
            encoded = encode_prompts(base, parse_prompts("a fox", ""), skip).prompt_embeds
            torch.testing.assert_close(encoded, norm(states[-skip]))
        with pytest.raises(StudioError) as error:
            encode_prompts(base, parse_prompts("a fox", ""), 4)
    assert error.value.sentence.key == "generate.clip_skip_too_deep"


def test_a_text_encoder_with_the_older_layout_gives_the_same(base):
    class Older(torch.nn.Module):
        """Has the level `text_model.` that transformers before 5 had."""

        def __init__(self, encoder):
            super().__init__()
            self.text_model = encoder

        def forward(self, *arguments, **options):
            return self.text_model(*arguments, **options)

    from dataclasses import replace

    with torch.no_grad():
        older = replace(base, text_encoder=Older(base.text_encoder))
        for skip in (1, 2):
            expected = encode_prompts(base, parse_prompts("a fox", ""), skip).prompt_embeds
            assert torch.equal(encode_prompts(older, parse_prompts("a fox", ""), skip).prompt_embeds, expected)


def test_captions_are_plain_text_of_equal_length(base):
    captions = ["a fox (cub), [x:1.5] BREAK", "", "snow " * 30]
    with torch.no_grad():
        encoded = encode_captions(base, captions, clip_skip=2)
        alone = [encode_captions(base, [caption], clip_skip=2) for caption in captions]
    assert encoded.shape == (3, 77 * 2, 32)
    for row, one in zip(encoded, alone, strict=True):
        torch.testing.assert_close(row[: one.shape[1]], one[0])
    ids = caption_tokens(base.tokenizer, captions)
    assert ids.shape == (3, 2, 77)
    assert len(split(base.tokenizer, parse(captions[0]))[0].tokens) < int((ids[0, 0] != 513).sum()) - 1


def test_gradients_flow_through_captions_where_the_text_encoder_has_any(base):
    parameter = next(base.text_encoder.parameters())
    parameter.requires_grad_(True)
    try:
        encode_captions(base, ["a fox"], clip_skip=1).sum().backward()
        assert float(parameter.grad.abs().sum()) > 0
    finally:
        parameter.requires_grad_(False)
        parameter.grad = None
