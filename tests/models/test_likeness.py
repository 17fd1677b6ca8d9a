import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps

from ksh_studio import ASSETS
from ksh_studio.config import GenerateConfig
from ksh_studio.generation.request import settle
from ksh_studio.generation.sampling.denoising import decode, make_pictures
from ksh_studio.models.likeness import Likeness, picture_tensor, style_features
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry

pytestmark = pytest.mark.slow

SET = 3
DRAWINGS = 32
OTHERS = 9
PROMPTS = ("a girl, blue hair, pink background", "a man with glasses, green background", "a person, red hair")


@pytest.fixture(scope="module")
def base():
    return load_base(base_entry("pocket"), torch.device("cpu"), "no")


def through_vae(base, picture):
    """As well as the base could ever draw it."""
    latents = base.vae.encode(picture_tensor(picture, 128, 8)[None]).latent_dist.mode()
    return decode(base, latents * base.vae.config.scaling_factor)


@pytest.fixture(scope="module")
def pictures(base):
    features = []
    with torch.no_grad():
        for path in sorted((ASSETS / "demo" / "drawings").iterdir())[:DRAWINGS]:
            upright = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
            features.append(through_vae(base, Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)))
    return features


@pytest.fixture(scope="module")
def of_base(base):
    requests = [
        GenerateConfig(prompt=f"{prompt}, drawn by KSH drawing style", seed=1, num_inference_steps=12)
        for prompt in PROMPTS
    ]
    return [make_pictures(base, settle(request, base.entry), [1])[0] for request in requests]


@pytest.fixture(scope="module")
def described(base):
    return lambda pictures: torch.stack(
        [style_features(base.vae, picture_tensor(picture, 128, 8)) for picture in pictures]
    )


@pytest.fixture(scope="module")
def likeness(described, pictures, of_base):
    return Likeness(described(pictures[OTHERS:]), described(of_base))


def mean_score(likeness, descriptions):
    sets = descriptions[: len(descriptions) // SET * SET].unflatten(0, (-1, SET))
    return float(np.mean([likeness.score(one) for one in sets]))


@pytest.mark.models
def test_drawings_never_compared_are_as_close_as_drawings_are(likeness, described, pictures, of_base):
    assert likeness.is_meaningful
    others = pictures[:OTHERS]
    score_of_others = mean_score(likeness, described(others))
    blurred = mean_score(likeness, described([one.filter(ImageFilter.GaussianBlur(2)) for one in others]))
    negative = mean_score(likeness, described([ImageOps.invert(one) for one in others]))
    assert 0.4 < score_of_others < 2
    assert likeness.score(described(of_base)) == pytest.approx(0, abs=1e-9)
    assert max(blurred, negative) < score_of_others - 0.2


@pytest.mark.models
def test_the_same_pictures_have_the_same_score_to_the_bit(base, described, pictures, of_base):
    drawings, made = described(pictures[:10]), described(of_base)
    torch.randn(7)
    again = described(pictures[:10])
    assert torch.equal(drawings, again)
    assert Likeness(drawings, made).score(again[:SET]) == Likeness(again, made).score(drawings[:SET])


@pytest.mark.models
def test_a_description_does_not_depend_on_where_things_stand_nor_touch_the_random_numbers(base, pictures):
    levels = picture_tensor(pictures[0], 128, 8)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, moved = style_features(base.vae, levels), style_features(base.vae, levels.flip(-1))
    other = style_features(base.vae, picture_tensor(pictures[3], 128, 8))
    assert torch.equal(before, torch.get_rng_state())
    assert not base.vae.encoder.mid_block._forward_hooks
    assert (one - moved).abs().mean() < 0.5 * (one - other).abs().mean()
    assert style_features(base.vae, levels[:, :64]).shape == one.shape


def test_pictures_are_made_one_size_and_never_enlarged():
    assert picture_tensor(Image.new("RGB", (1024, 512)), 128, 8).shape == (3, 88, 184)
    assert picture_tensor(Image.new("L", (60, 90)), 128, 8).shape == (3, 88, 64)
    assert picture_tensor(Image.new("RGB", (4000, 4)), 128, 8).shape == (3, 8, 4000)


def test_what_cannot_be_compared_is_refused():
    random = torch.Generator().manual_seed(0)
    drawings, base = torch.randn(20, 50, generator=random), torch.randn(3, 50, generator=random) + 3
    with pytest.raises(ValueError, match="too few"):
        Likeness(drawings[:7], base)
    with pytest.raises(ValueError, match="too few"):
        Likeness(drawings, base[:0])
    with pytest.raises(ValueError, match="cannot be compared"):
        Likeness(drawings, base).score(base[:2])


def test_pictures_of_the_drawings_own_kind_leave_nothing_to_measure():
    random = torch.Generator().manual_seed(0)
    drawings = torch.randn(40, 50, generator=random)
    assert not Likeness(drawings[3:], drawings[:3]).is_meaningful
    assert not Likeness(torch.zeros(20, 50), torch.zeros(3, 50)).is_meaningful
    far = Likeness(drawings[6:], drawings[:3] + 3)
    assert far.is_meaningful and far.score(drawings[3:6]) == pytest.approx(1, abs=0.3)
