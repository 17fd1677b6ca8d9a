"""Prompts become the text encoder's output: chunks of 75 tokens, weights as A1111 applies them, clip skip.

Our own, because diffusers cuts prompts at 75 tokens, knows no weights, and its clip skip fails with transformers 5.6
and later (huggingface/diffusers#14124).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ksh_studio.errors import StudioError
from ksh_studio.generation.prompt.parse import Parsed, ParsedPrompts
from ksh_studio.generation.prompt.weights import Fragment

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer

    from ksh_studio.models.loading import Base

CHUNK = 75
"""Tokens of the prompt in one pass of the text encoder; with the begin and end marks 77."""
COMMA_REACH = 20
"""A chunk that fills up ends after its last comma when fewer tokens than this follow it."""


@dataclass
class Chunk:
    """Up to 75 tokens and their weights, without marks and padding."""

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
    """Tokens of the positive prompt out of 75 · chunks; the padding of every chunk but the last counts."""


@torch.no_grad()
def encode_prompts(base: "Base", prompts: ParsedPrompts, clip_skip: int) -> Encoded:
    """Encode both prompts of a request; the shorter is lengthened with the encoded empty prompt.

    clip_skip: 1 reads the last layer of the text encoder, 2 the one before.
    Raises StudioError when the text encoder has fewer layers.
    """
    chunks = [split(base.tokenizer, parsed) for parsed in (prompts.positive, prompts.negative)]
    longest = max(map(len, chunks))
    positive, negative = (_encode(base, _lengthened(one, longest), clip_skip) for one in chunks)
    return Encoded(positive, negative, padded=len(chunks[0]) != len(chunks[1]), tokens=count(chunks[0]))


def encode_captions(base: "Base", captions: list[str], clip_skip: int) -> Tensor:
    """Encode captions as plain text, without weight syntax, [captions, 77 · chunks, width].

    Shorter ones are lengthened with the encoded empty prompt, as `encode_prompts` does. Keeps gradients where the text
    encoder has any.
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
    """The prompt's tokens in chunks; at least one, which may be empty.

    A BREAK closes a chunk. When a chunk is full and fewer than 20 tokens stand after its last comma, these move to the
    next one, so that a phrase is not torn; not when the token that waits is itself a comma.
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


def count(chunks: list[Chunk]) -> int:
    """Tokens used of 75 · chunks, the padding of earlier chunks included."""
    return CHUNK * (len(chunks) - 1) + len(chunks[-1].tokens)


def _lengthened(chunks: list[Chunk], length: int) -> list[Chunk]:
    return chunks + [Chunk()] * (length - len(chunks))


def _tokens(tokenizer: "CLIPTokenizer", text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids if text else []


def _after_comma(chunk: Chunk, last_comma: int) -> Chunk:
    """Take what follows the last comma out of a full chunk when it is short enough."""
    start = last_comma + 1
    if last_comma < 0 or len(chunk.tokens) - start >= COMMA_REACH:
        return Chunk()
    rest = Chunk(chunk.tokens[start:], chunk.weights[start:])
    del chunk.tokens[start:], chunk.weights[start:]
    return rest


def _ids(tokenizer: "CLIPTokenizer", chunks: list[Chunk]) -> Tensor:
    """Token ids with marks and padding, [chunks, 77]. SD 1.x pads with the end mark, SD 2.x with its own."""
    begin, end, padding = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = [[begin, *chunk.tokens, end] + [padding] * (CHUNK - len(chunk.tokens)) for chunk in chunks]
    return torch.tensor(rows)


def _encode(base: "Base", chunks: list[Chunk], clip_skip: int) -> Tensor:
    """Encoded and weighted chunks, joined: [1, 77 · chunks, width]."""
    hidden = _hidden(base.text_encoder, _ids(base.tokenizer, chunks).to(base.device), clip_skip)
    rows = [_emphasised(one, chunk) for one, chunk in zip(hidden, chunks, strict=True)]
    return torch.cat(rows).unsqueeze(0)


def _hidden(encoder: "CLIPTextModel", tokens: Tensor, clip_skip: int) -> Tensor:
    """The text encoder's output at a layer, final layer norm applied: [rows, 77] to [rows, 77, width]."""
    if clip_skip == 1:
        return encoder(tokens).last_hidden_state
    layers = encoder(tokens, output_hidden_states=True).hidden_states  # the embeddings, then each layer's output
    if clip_skip >= len(layers):
        raise StudioError("generate.clip_skip_too_deep", clip_skip=clip_skip, layers=len(layers) - 1)
    inner = getattr(encoder, "text_model", encoder)  # transformers 5 has no such level any more
    return inner.final_layer_norm(layers[-clip_skip])


def _emphasised(hidden: Tensor, chunk: Chunk) -> Tensor:
    """A1111's "Original" emphasis on one chunk [77, width]: times the weights, then the mean as it was."""
    if all(weight == 1.0 for weight in chunk.weights):
        return hidden
    weights = torch.ones(len(hidden), dtype=torch.float32, device=hidden.device)
    weights[1 : 1 + len(chunk.weights)] = torch.tensor(chunk.weights, device=hidden.device)
    before = hidden.float()
    after = before * weights[:, None]
    return (after * (before.mean() / after.mean())).to(hidden.dtype)
