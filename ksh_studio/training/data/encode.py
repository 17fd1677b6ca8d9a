"""Everything about the drawings that does not change, computed once and resident: latents and text embeddings."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ksh_studio.config import SettledTraining
from ksh_studio.events import Event, Progress, Warned
from ksh_studio.generation.prompt.encoding import caption_tokens, encode_tokens
from ksh_studio.models.loading import Base
from ksh_studio.training.data.cache import Cache, fingerprint, key_of, missing
from ksh_studio.training.data.items import Item
from ksh_studio.training.memory.halving import in_halves

BATCH = 8
"""Pictures or captions encoded together."""


@dataclass(frozen=True)
class EncodedDrawings:
    """Training data as tensors on the device."""

    items: list[Item]
    """Those whose drawing could be read."""
    latents: list[Tensor]
    """One a bucket: [drawings, 1 or 2 (mirrored), C, h, w], fp32, ready to be noised."""
    place: list[tuple[int, int]]
    """Bucket and row of each item."""
    captions: Tensor
    """[items, orders]: rows of the embeddings of each item's caption and of its other orders."""
    embeddings: Tensor
    """[rows, 77 · chunks, width]: of the items' captions, then of their other orders; the last: the empty caption."""
    tokens: Tensor | None
    """[rows, chunks, 77], where the text encoder is trained and embeddings are not used."""

    @property
    def empty(self) -> int:
        """Row of the empty caption."""
        return len(self.embeddings) - 1


def encode_drawings(
    base: Base, items: list[Item], config: SettledTraining, cache: Cache
) -> Generator[Event, None, EncodedDrawings]:
    """Encode what the cache lacks, saying how far it is, and put everything on the base's device.

    A drawing that cannot be decoded is left out, with a warning.
    """
    values, items = yield from _latents(base, items, config.random_flip, cache)
    sizes = sorted({value.shape[-2:] for value in values})
    groups: list[list[Tensor]] = [[] for _ in sizes]
    place = []
    for value in values:
        bucket = sizes.index(value.shape[-2:])
        place.append((bucket, len(groups[bucket])))
        groups[bucket].append(value)
    latents = [torch.stack(group).to(base.device, torch.float32) for group in groups]
    captions, rows = _rows(items)
    embeddings = yield from _embeddings(base, captions, config.clip_skip, cache)
    tokens = caption_tokens(base.tokenizer, captions).to(base.device) if config.train_text_encoder else None
    caption_rows = torch.tensor(rows, dtype=torch.int64).to(base.device)  # also of no drawing at all
    return EncodedDrawings(items, latents, place, caption_rows, embeddings.to(base.device), tokens)


def _rows(items: list[Item]) -> tuple[list[str], list[list[int]]]:
    """The captions to encode, and each item's rows of tag orders, repeated where another item has more."""
    captions = [item.caption for item in items]
    orders = max((1 + len(item.tag_orders) for item in items), default=1)
    rows = []
    for n, item in enumerate(items):
        order_rows = [n, *range(len(captions), len(captions) + len(item.tag_orders))]
        captions += item.tag_orders
        rows.append([order_rows[order % len(order_rows)] for order in range(orders)])
    return [*captions, ""], rows


def _latents(
    base: Base, items: list[Item], flip: bool, cache: Cache
) -> Generator[Event, None, tuple[list[Tensor], list[Item]]]:
    """Latents [1 or 2, C, h, w] of each readable drawing, and these drawings.

    The mean of the VAE's distribution, not a sample: it is the same at every use, and the spread of Stable Diffusion's
    autoencoders is far below what the picture itself varies by.
    """
    made_by = fingerprint(base.vae)
    keys = [key_of("latents", item.digest, item.crop, flip, made_by) for item in items]
    cached, absent = missing(cache, keys)
    unreadable: set[str] = set()
    for done, places in _batches(absent, [items[n].crop for n in absent]):
        yield Progress(phase="latents", done=len(items) - len(absent) + done, total=len(items))
        pictures = {}
        for n in places:
            try:
                pictures[n] = pixels(items[n])
            except (OSError, ValueError, SyntaxError) as error:
                unreadable.add(keys[n])
                key = "train.drawing_gone" if isinstance(error, FileNotFoundError) else "train.drawing_unreadable"
                yield Warned.saying(key, name=items[n].name)
        encode = partial(encode_pictures, base, flip=flip)
        for n, value in zip(pictures, in_halves(encode, list(pictures.values()), base.device), strict=True):
            cache.put(keys[n], value)
            cached[keys[n]] = value
    yield Progress(phase="latents", done=len(items), total=len(items))
    kept = [(cached[key], item) for key, item in zip(keys, items, strict=True) if key not in unreadable]
    return [value for value, _ in kept], [item for _, item in kept]


def pixels(item: Item) -> Tensor:
    """The drawing, scaled and cropped, as [3, H, W] in -1..1. Raises OSError when it cannot be decoded."""
    crop = item.crop
    with Image.open(item.path, formats=("WEBP",)) as opened:
        picture = ImageOps.exif_transpose(opened.convert("RGB")).resize(crop.scaled, Image.Resampling.LANCZOS)
    picture = picture.crop((crop.left, crop.top, crop.left + crop.width, crop.top + crop.height))
    values = np.asarray(picture, dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(values).permute(2, 0, 1)


@torch.no_grad()
def encode_pictures(base: Base, pictures: list[Tensor], flip: bool) -> list[Tensor]:
    """Latents [1 or 2, C, h, w] on the CPU in fp32 of pictures [3, H, W] of one size; the second one is mirrored."""
    if not pictures:
        return []
    stacked = torch.stack(pictures)  # [n, 3, H, W]
    both = torch.stack([stacked, stacked.flip(-1)], dim=1) if flip else stacked[:, None]
    count, sides = both.shape[:2]
    mean = base.vae.encode(both.flatten(0, 1).to(base.device, base.vae.dtype)).latent_dist.mode()
    shift = getattr(base.vae.config, "shift_factor", None) or 0.0
    latents = (mean.float() - shift) * base.vae.config.scaling_factor
    # contiguous, as the cache gives them back: another memory layout would round differently in the UNet
    return list(latents.cpu().contiguous().unflatten(0, (count, sides)))


def _embeddings(base: Base, captions: list[str], clip_skip: int, cache: Cache) -> Generator[Event, None, Tensor]:
    """[captions, 77 · chunks, width] in the base's precision; the last caption is the empty one.

    Shorter ones are lengthened with the encoded empty caption, as prompts are.
    """
    tokens = [caption_tokens(base.tokenizer, [caption]) for caption in captions]  # each [1, chunks, 77]
    made_by = (clip_skip, fingerprint(base.text_encoder))
    keys = [key_of("caption", ids.tolist(), made_by) for ids in tokens]
    cached, absent = missing(cache, keys)

    @torch.no_grad()
    def encode(some: list[Tensor]) -> list[Tensor]:
        return list(encode_tokens(base, torch.cat(some), clip_skip).cpu())

    for done, places in _batches(absent, [tokens[n].shape[1] for n in absent]):
        yield Progress(phase="captions", done=len(captions) - len(absent) + done, total=len(captions))
        for n, value in zip(places, in_halves(encode, [tokens[n] for n in places], base.device), strict=True):
            cache.put(keys[n], value)
            cached[keys[n]] = value.clone()
    yield Progress(phase="captions", done=len(captions), total=len(captions))
    empty = cached[keys[-1]]
    longest = max(cached[key].shape[0] for key in keys)
    return torch.stack([_lengthened(cached[key], empty, longest) for key in keys])


def _lengthened(value: Tensor, empty: Tensor, length: int) -> Tensor:
    return torch.cat([value, *[empty] * ((length - value.shape[0]) // empty.shape[0])])


def _batches(places: list[int], kinds: list[object]) -> Iterator[tuple[int, list[int]]]:
    """Up to BATCH places of one kind at a time, with how many came before."""
    groups: dict[str, list[int]] = {}
    for place, kind in zip(places, kinds, strict=True):
        groups.setdefault(repr(getattr(kind, "size", kind)), []).append(place)
    done = 0
    for group in groups.values():
        for start in range(0, len(group), BATCH):
            yield done, group[start : start + BATCH]
            done += len(group[start : start + BATCH])
