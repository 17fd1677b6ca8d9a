import pytest

from ksh_studio.training.data.buckets import buckets, fit


def test_buckets_are_multiples_of_the_step_within_the_area():
    sizes = buckets(512, 64)
    assert (512, 512) in sizes and (640, 384) in sizes and (384, 640) in sizes and len(sizes) == len(set(sizes))
    assert all(w % 64 == 0 and h % 64 == 0 and w * h <= 512 * 512 and max(w, h) <= 768 for w, h in sizes)
    assert all((h, w) in sizes for w, h in sizes)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [((1000, 1000), (512, 512)), ((1024, 600), (640, 384)), ((600, 1024), (384, 640)), ((1536, 1500), (512, 512))],
)
def test_a_drawing_goes_to_the_bucket_of_its_shape(size, bucket):
    crop = fit(*size, 512, 64, "bucket")
    assert crop.size == bucket
    assert crop.scaled[0] >= crop.width and crop.scaled[1] >= crop.height
    assert crop.scaled[0] / crop.scaled[1] == pytest.approx(size[0] / size[1], rel=0.01)


def test_the_cut_is_in_the_middle_and_the_square_is_the_originals():
    crop = fit(900, 600, 512, 64, "square")
    assert (crop.size, crop.scaled, crop.left, crop.top) == ((512, 512), (768, 512), 128, 0)


def test_small_drawings_are_not_blown_up():
    crop = fit(200, 200, 512, 64, "bucket")
    assert crop.size == (384, 384)  # 1.92 times, not 2.56
    with pytest.raises(ValueError, match="too small"):
        fit(20, 20, 512, 64, "bucket")
    for shape in ("square", "bucket"):
        with pytest.raises(ValueError, match="too small"):
            fit(1, 20_000, 512, 64, shape)


def test_extreme_shapes_are_cut_to_the_widest_bucket():
    crop = fit(20_000, 600, 512, 64, "bucket")
    assert crop.size == (768, 320) and crop.scaled[1] == 320
