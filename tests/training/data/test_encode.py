import hashlib
import sqlite3

import pytest
import torch
from PIL import Image

from ksh_studio.project.catalogue import Catalogue
from ksh_studio.training.data import encode as preparing
from ksh_studio.training.data.items import digest_of


def test_everything_is_computed_once(ready):
    first, calls, said = ready()
    assert calls == {"pictures": 5, "captions": 6}  # five captions and the empty one
    assert {event.phase for event in said} == {"latents", "captions"}
    second, calls, _ = ready()
    assert calls == {"pictures": 0, "captions": 0}
    assert torch.equal(first.embeddings, second.embeddings)
    assert all(
        torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(first.latents, second.latents, strict=True)
    )


def test_only_what_changed_is_computed_again(ready, project, drawings):
    before, _, _ = ready()
    with Catalogue(project) as catalogue:
        catalogue.save_caption(drawings[2].id, "a boy")
    after, calls, _ = ready()
    assert calls == {"pictures": 0, "captions": 1}
    changed = [row for row in range(6) if not torch.equal(before.embeddings[row], after.embeddings[row])]
    assert [before.items[row].id for row in changed] == [drawings[2].id]
    assert digest_of(before.items) != digest_of(after.items)


@pytest.mark.parametrize(
    ("values", "again"),
    [
        ({"resolution": 96}, {"pictures": 5, "captions": 0}),
        ({"random_flip": False}, {"pictures": 5, "captions": 0}),
        ({"crop": "square"}, {"pictures": 2, "captions": 0}),  # the others are square already
        ({"clip_skip": 2}, {"pictures": 0, "captions": 6}),
        ({"rank": 8, "seed": 9, "learning_rate": 0.5}, {"pictures": 0, "captions": 0}),
    ],
)
def test_a_setting_recomputes_what_it_decides(values, again, ready):
    ready()
    assert ready(**values)[1] == again


def test_an_edited_drawing_or_caption_recomputes_only_itself(ready, project, drawings, tmp_path):
    before, _, _ = ready()
    files = {file: file.read_bytes() for file in (tmp_path / "cache").rglob("*.safetensors")}
    edited = drawings[3]
    picture = Image.open(edited.path(project)).convert("RGB")
    picture.putpixel((5, 5), tuple(255 - value for value in picture.getpixel((5, 5))))
    picture.save(edited.path(project), "WEBP", lossless=True)
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    with sqlite3.connect(project.captions_db) as database:  # the catalogue itself never changes a drawing
        database.execute("UPDATE drawings SET pixel_sha256 = ? WHERE id = ?", (digest, edited.id))
    database.close()
    after, calls, _ = ready()
    assert calls == {"pictures": 1, "captions": 0}
    changed = [
        n for n, (bucket, row) in enumerate(before.place)
        if not torch.equal(before.latents[bucket][row], after.latents[bucket][row])
    ]  # fmt: skip
    assert [before.items[n].id for n in changed] == [edited.id]
    with Catalogue(project) as catalogue:
        catalogue.save_caption(drawings[1].id, "a boy")
    assert ready()[1] == {"pictures": 0, "captions": 1}
    assert all(file.read_bytes() == data for file, data in files.items())  # what was there is still right
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == len(files) + 2


@pytest.mark.parametrize(
    ("part", "again"), [("vae", {"pictures": 5, "captions": 0}), ("text_encoder", {"pictures": 0, "captions": 6})]
)
def test_another_part_of_the_base_recomputes_only_what_it_makes(part, again, ready, base):
    ready()
    weight = next(getattr(base, part).parameters())
    weight.data.view(-1)[0] += 1e-3
    assert ready()[1] == again
    getattr(base, part).to(torch.bfloat16)
    assert ready()[1] == again


def test_latents_are_the_vaes_mean_scaled_and_mirrored(ready, base):
    data, _, _ = ready()
    bucket, row = data.place[0]
    picture = preparing.pixels(data.items[0])[None]  # [1, 3, H, W]
    with torch.no_grad():
        for side, shown in enumerate((picture, picture.flip(-1))):
            wanted = base.vae.encode(shown).latent_dist.mean * 0.18215
            assert torch.allclose(data.latents[bucket][row, side], wanted[0], atol=1e-5)
    assert data.latents[bucket].shape[1:] == (2, 4, 8, 8)
    assert -1 <= picture.min() < picture.max() <= 1


def test_drawings_keep_their_shape(ready):
    data, _, _ = ready()
    sides = sorted((value.shape[-1], value.shape[-2]) for value in data.latents)
    assert sides == [(6, 10), (8, 8), (10, 6)] and sorted(bucket for bucket, _ in data.place) == [0, 1, 1, 1, 2]


def test_captions_carry_the_trigger_once(ready):
    data, _, _ = ready()
    trigger = "drawn by KSH drawing style"
    assert all(item.caption.count(trigger) == 1 and item.caption.endswith(trigger) for item in data.items)


def test_long_captions_are_not_cut(ready, project, drawings):
    with Catalogue(project) as catalogue:
        catalogue.save_caption(drawings[0].id, "a " * 200)
    data, _, _ = ready()
    assert data.embeddings.shape == (6, 77 * 3, 32)
    assert torch.equal(data.embeddings[1, 77:154], data.embeddings[-1, :77])  # shorter ones: the empty caption follows


def test_a_torn_cache_file_is_made_again(ready, tmp_path):
    ready()
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:40])
    assert ready()[1] == {"pictures": 5, "captions": 6}


def test_drawings_that_cannot_be_read_are_named_and_left_out(ready, project, drawings):
    drawings[0].path(project).write_bytes(b"not a picture")
    drawings[1].path(project).unlink()
    data, _, said = ready()
    assert [item.id for item in data.items] == sorted_ids(project, drawings[2:])
    named = {(event.key, event.values["name"]) for event in said if hasattr(event, "key")}
    assert named == {("train.drawing_unreadable", "그림 0.png"), ("train.drawing_gone", "그림 1.png")}
    assert data.embeddings.shape[0] == 4 and len(data.place) == 3


def test_a_drawing_whose_file_is_gone_or_broken_is_used_as_long_as_its_latents_are_there(ready, project, drawings):
    before, _, _ = ready()
    drawings[0].path(project).write_bytes(b"not a picture")
    drawings[1].path(project).unlink()
    after, calls, said = ready()
    assert calls["pictures"] == 0 and not [event for event in said if hasattr(event, "key")]
    assert all(torch.equal(one, other) for one, other in zip(before.latents, after.latents, strict=True))


def test_where_memory_is_short_fewer_are_encoded_at_a_time(ready, monkeypatch):
    plain, _, _ = ready(caption_dropout=0.0)
    encode_pictures, encode_tokens, sizes = preparing.encode_pictures, preparing.encode_tokens, []

    def pictures(base, images, flip):
        sizes.append(len(images))
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return encode_pictures(base, images, flip)

    def tokens(base, ids, clip_skip):
        if len(ids) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        return encode_tokens(base, ids, clip_skip)

    monkeypatch.setattr(preparing, "encode_pictures", pictures)
    monkeypatch.setattr(preparing, "encode_tokens", tokens)
    monkeypatch.setattr(preparing.Cache, "get", lambda self, key: None)
    again, _, _ = ready()
    assert sizes.count(1) == 5 and max(sizes) == 3
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(plain.latents, again.latents, strict=True))
    assert torch.allclose(plain.embeddings, again.embeddings, atol=1e-5)


def sorted_ids(project, kept):
    with Catalogue(project) as catalogue:
        return [drawing.id for drawing in catalogue.drawings() if drawing.id in {one.id for one in kept}]
