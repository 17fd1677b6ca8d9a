"""Encodes prompts with the text encoder, in chunks of 75 tokens, with the weights of A1111 and with clip skip.

The studio has its own code for this because diffusers cuts prompts at 75 tokens, does not support weights, and its clip
skip fails with transformers 5.6 and later (huggingface/diffusers#14124).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ksh_studio.errors import StudioError
from ksh_studio.generation.budget import check_chunks
from ksh_studio.generation.prompt.half_width import half_width
from ksh_studio.generation.prompt.parse import Parsed, ParsedPrompts
from ksh_studio.generation.prompt.weights import Fragment

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer

    from ksh_studio.models.loading import Base

CHUNK = 75
"""Tokens of the prompt in one pass of the text encoder; the begin and end tokens make it 77."""
COMMA_REACH = 20
"""A full chunk ends after its last comma when fewer tokens than this follow the comma."""

CHUNKS_AT_ONCE = 8
"""Chunks of a prompt in one pass of the text encoder, so that its memory does not grow with the prompt."""


@dataclass
class Chunk:
    """Up to 75 tokens and their weights, without begin and end tokens and padding."""

    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Encoded:
    """The encoded prompts of a request, in the text encoder's precision; both have the same length."""

    prompt_embeds: Tensor
    """[1, 77 · chunks, width]."""
    negative_prompt_embeds: Tensor
    """[1, 77 · chunks, width]."""
    padded: bool
    """Whether the shorter one was lengthened with the encoded empty prompt."""
    tokens: int
    """The number of tokens of the positive prompt, as `count` counts them."""


@torch.no_grad()
def encode_prompts(base: "Base", prompts: ParsedPrompts, clip_skip: int) -> Encoded:
    """Encode both prompts of a request; the shorter is lengthened with the encoded empty prompt.

    clip_skip: 1 takes the output of the text encoder's last layer, 2 that of the layer before.
    Raises StudioError when a prompt has more than MOST_CHUNKS chunks, or the text encoder not that many layers.
    """
    chunks = [split(base.tokenizer, parsed) for parsed in (prompts.positive, prompts.negative)]
    longest = max(map(len, chunks))
    check_chunks(longest)
    positive, negative = (_encode(base, _lengthened(one, longest), clip_skip) for one in chunks)
    return Encoded(positive, negative, padded=len(chunks[0]) != len(chunks[1]), tokens=count(chunks[0]))


def encode_captions(base: "Base", captions: list[str], clip_skip: int) -> Tensor:
    """Encode captions as plain text, without weight syntax, [captions, 77 · chunks, width].

    Shorter ones are lengthened with the encoded empty prompt, as by `encode_prompts`. Gradients are kept, to train the
    text encoder.
    """
    return encode_tokens(base, caption_tokens(base.tokenizer, captions), clip_skip)


def caption_tokens(tokenizer: "CLIPTokenizer", captions: list[str]) -> Tensor:
    """Token ids of captions as plain text, [captions, chunks, 77]."""
    chunks = [split(tokenizer, Parsed((Fragment(caption),))) for caption in captions]
    longest = max(map(len, chunks))
    return torch.stack([_ids(tokenizer, _lengthened(one, longest)) for one in chunks])


def encode_tokens(base: "Base", tokens: Tensor, clip_skip: int) -> Tensor:
    """Encode ids [captions, chunks, 77] to [captions, 77 · chunks, width]."""
    hidden = _hidden(base.text_encoder, tokens.flatten(0, 1).to(base.device), clip_skip)
    return hidden.unflatten(0, tokens.shape[:2]).flatten(1, 2)


def split(tokenizer: "CLIPTokenizer", parsed: Parsed) -> list[Chunk]:
    """The prompt's tokens in chunks; there is at least one, which may be empty.

    BREAK ends a chunk. When a chunk is full and fewer than 20 tokens follow its last comma, these move to the next
    chunk, so that no phrase is divided, unless the next token is itself a comma.
    """
    comma = tokenizer.convert_tokens_to_ids(",</w>")
    done: list[Chunk] = []
    chunk, last_comma = Chunk(), -1
    for fragment in parsed.fragments:
        if fragment.is_break:
            done.append(chunk)
            chunk, last_comma = Chunk(), -1
            continue
        for token in _tokens(tokenizer, fragment.text):
            if len(chunk.tokens) == CHUNK:
                rest = _after_comma(chunk, last_comma) if token != comma else Chunk()
                done.append(chunk)
                chunk, last_comma = rest, -1
            if token == comma:
                last_comma = len(chunk.tokens)
            chunk.tokens.append(token)
            chunk.weights.append(fragment.weight)
    if chunk.tokens or not done:
        done.append(chunk)
    return done


def longest_prompt(tokenizer: "CLIPTokenizer", prompts: ParsedPrompts) -> int:
    """The number of chunks of the longer one of both prompts, to which the other is lengthened."""
    return max(len(split(tokenizer, parsed)) for parsed in (prompts.positive, prompts.negative))


def count(chunks: list[Chunk]) -> int:
    """How many of the 75 · chunks places are used; every chunk but the last counts as full."""
    return CHUNK * (len(chunks) - 1) + len(chunks[-1].tokens)


def _lengthened(chunks: list[Chunk], length: int) -> list[Chunk]:
    return chunks + [Chunk()] * (length - len(chunks))


def _tokens(tokenizer: "CLIPTokenizer", text: str) -> list[int]:
    plain = half_width(text)
    return tokenizer(plain, add_special_tokens=False, truncation=False, verbose=False).input_ids if plain else []


def _after_comma(chunk: Chunk, last_comma: int) -> Chunk:
    """Remove the tokens after the last comma from a full chunk and return them, when they are few enough."""
    start = last_comma + 1
    if last_comma < 0 or len(chunk.tokens) - start >= COMMA_REACH:
        return Chunk()
    rest = Chunk(chunk.tokens[start:], chunk.weights[start:])
    del chunk.tokens[start:], chunk.weights[start:]
    return rest


def _ids(tokenizer: "CLIPTokenizer", chunks: list[Chunk]) -> Tensor:
    """Token ids with begin, end and padding, [chunks, 77]. SD 1.x pads with the end token, SD 2.x with another."""
    begin, end, padding = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = [[begin, *chunk.tokens, end] + [padding] * (CHUNK - len(chunk.tokens)) for chunk in chunks]
    return torch.tensor(rows)


def _encode(base: "Base", chunks: list[Chunk], clip_skip: int) -> Tensor:
    """The chunks encoded, weighted and joined: [1, 77 · chunks, width]."""
    tokens = _ids(base.tokenizer, chunks).to(base.device).split(CHUNKS_AT_ONCE)
    hidden = torch.cat([_hidden(base.text_encoder, few, clip_skip) for few in tokens])
    rows = [_emphasised(one, chunk) for one, chunk in zip(hidden, chunks, strict=True)]
    return torch.cat(rows).unsqueeze(0)


def _hidden(encoder: "CLIPTextModel", tokens: Tensor, clip_skip: int) -> Tensor:
    """The output of the layer that clip_skip says, after the final layer norm: [rows, 77] to [rows, 77, width]."""
    if clip_skip == 1:
        return encoder(tokens).last_hidden_state
    layers = encoder(tokens, output_hidden_states=True).hidden_states  # the embeddings, then each layer's output
    if clip_skip >= len(layers):
        raise StudioError("generate.clip_skip_too_deep", clip_skip=clip_skip, layers=len(layers) - 1)
    inner = getattr(encoder, "text_model", encoder)  # transformers 5 has no such level any more
    return inner.final_layer_norm(layers[-clip_skip])


def _emphasised(hidden: Tensor, chunk: Chunk) -> Tensor:
    """Apply A1111's "Original" emphasis to a chunk [77, width]: multiply by the weights, then restore the mean."""
    if all(weight == 1.0 for weight in chunk.weights):
        return hidden
    weights = torch.ones(len(hidden), dtype=torch.float32, device=hidden.device)
    weights[1 : 1 + len(chunk.weights)] = torch.tensor(chunk.weights, device=hidden.device)
    before = hidden.float()
    after = before * weights[:, None]
    return (after * (before.mean() / after.mean())).to(hidden.dtype)
