import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from ksh_studio.drawings.pixels import Unreadable, convert, read_upright
from tests.drawings.pictures import data_of, picture


def reason(data):
    with pytest.raises(Unreadable) as error:
        convert(data)
    return error.value.sentence.key.removeprefix("import.reason_")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, rows, depth=8, colour=0, extra=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_pixels_of_lossless_files_stay_exactly(kind):
    image = picture(1)
    made = convert(data_of(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    stored = Image.open(io.BytesIO(made.webp))
    assert stored.format == "WEBP"
    assert stored.convert("RGB").tobytes() == image.tobytes()
    assert (made.width, made.height, made.flags) == (48, 40, ())
    assert made.pixel_sha256 == convert(made.webp).pixel_sha256


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_drawings_stand_upright_whatever_the_camera_says(kind, orientation):
    image = Image.new("RGB", (64, 32), "red")
    image.paste("blue", (0, 0, 32, 16))  # the upper left quarter
    exif = Image.Exif()
    exif[0x0112] = orientation
    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
             7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    lying = image.transpose(getattr(Image.Transpose, turns[orientation]))
    upright, flags = read_upright(data_of(lying, kind, exif=exif))
    assert upright.size == (64, 32)
    assert (upright.getpixel((8, 4))[2] > 200, upright.getpixel((56, 28))[0] > 200) == (True, True)
    assert flags == {"turned"}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_transparency_becomes_white_and_hidden_colours_never_show(mode):
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))  # red hidden under nothing
    image.paste((0, 0, 0, 255), (10, 10, 30, 30))
    image.putpixel((0, 0), (0, 0, 0, 128))
    if mode == "P":
        made = image.quantize(8)
    elif mode == "PA":
        made = image.convert("LA")
    else:
        made = image.convert(mode)
    opened, flags = read_upright(data_of(made))
    assert opened.mode == "RGB"
    assert opened.getpixel((35, 35)) == (255, 255, 255)
    assert opened.getpixel((20, 20)) == (0, 0, 0)
    assert 120 <= opened.getpixel((0, 0))[0] <= 135
    assert flags == {"alpha"}


def test_one_transparent_colour_becomes_white():
    opened, flags = read_upright(data_of(Image.new("RGB", (40, 40), (9, 9, 9)), transparency=(9, 9, 9)))
    assert (opened.getpixel((5, 5)), flags) == ((255, 255, 255), {"alpha"})


def test_opaque_alpha_changes_nothing():
    image = picture(2).convert("RGBA")
    opened, flags = read_upright(data_of(image))
    assert (opened.tobytes(), flags) == (picture(2).tobytes(), set())


def test_a_large_transparent_drawing_has_no_coloured_seams():
    image = Image.new("RGBA", (1700, 1700), (255, 0, 255, 0))
    image.paste((0, 0, 0, 255), (0, 0, 851, 1700))
    made = convert(data_of(image, compress_level=1))
    pixels = np.asarray(Image.open(io.BytesIO(made.webp)).convert("RGB")).astype(int)
    assert (np.ptp(pixels, axis=2) == 0).all()  # grey all over: the hidden magenta reached no pixel


def test_sixteen_bits_are_scaled_not_cut():
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    opened, flags = read_upright(data_of(Image.fromarray(ramp)))
    grey = np.asarray(opened)[..., 0].astype(int)
    assert np.abs(grey - np.round(ramp / 257).astype(int)).max() == 0
    assert flags == {"deep"}
    row = (b"\0" + struct.pack(">H", 0x8080) * 48) * 48
    opened, flags = read_upright(png(48, 48, row, depth=16, extra=chunk(b"tRNS", struct.pack(">H", 0x8080))))
    assert (opened.getpixel((3, 3)), flags) == ((255, 255, 255), {"alpha", "deep"})
    colour = (b"\0" + struct.pack(">HHH", 0xFFFF, 0x8080, 0) * 48) * 48
    opened, _ = read_upright(png(48, 48, colour, depth=16, colour=2))
    assert opened.getpixel((3, 3)) == (255, 128, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (40, 40), "white").convert(mode)
    opened, flags = read_upright(data_of(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert (opened.mode, opened.getpixel((3, 3))) == ("RGB", (255, 255, 255))
    assert flags == ({"cmyk"} if mode == "CMYK" else set())


def test_colour_profiles_become_srgb_and_broken_ones_are_left_aside():
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # does not fit RGB
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (40, 40), (200, 30, 90))
    for profile, flag in ((srgb, "colour_profile"), (wide, "broken_profile"), (b"nonsense", "broken_profile")):
        opened, flags = read_upright(data_of(image, icc_profile=profile))
        assert np.abs(np.array(opened.getpixel((3, 3))) - (200, 30, 90)).max() <= 1
        assert flags == {flag}


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green", "blue")]
    data = data_of(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    opened, flags = read_upright(data)
    assert opened.getpixel((3, 3))[0] > 240
    assert flags == {"animated"}


def test_a_large_drawing_is_reduced_and_keeps_its_shape():
    made = convert(data_of(Image.new("RGB", (3072, 1000), "navy")))
    assert (made.width, made.height, made.flags) == (1536, 500, ("reduced",))
    with Image.open(io.BytesIO(made.thumb)) as thumb:
        assert thumb.size == (256, 83)


def test_nothing_but_pixels_is_kept():
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(1)</script>"
    exif[0x8825] = {1: "N", 2: (37.0, 33.0, 0.0)}
    data = data_of(picture(3), "JPEG", exif=exif, comment=b"secret place", icc_profile=b"secret profile")
    made = convert(data)
    for stored in (made.webp, made.thumb):
        assert not any(word in stored for word in (b"script", b"secret", b"EXIF", b"XMP ", b"ICCP"))
        assert not Image.open(io.BytesIO(stored)).getexif()


def test_sizes_have_bounds():
    assert reason(data_of(Image.new("1", (1, 20_000)))) == "narrow"
    assert reason(data_of(Image.new("L", (40, 401)))) == "narrow"
    assert reason(data_of(Image.new("L", (31, 31)))) == "small"
    assert reason(data_of(Image.new("L", (1, 1)))) == "small"
    assert reason(data_of(Image.new("1", (17_000, 3000)))) == "large"
    assert convert(data_of(Image.new("L", (32, 32)))).width == 32
    assert convert(data_of(Image.new("L", (40, 400)))).height == 400


@pytest.mark.parametrize("side", [9_000, 12_000, 20_000])
def test_bombs_are_refused_before_they_are_unpacked(side):
    rows = zlib.compressobj(9)
    line = bytes(1 + side // 8)
    body = b"".join(rows.compress(line) for _ in range(side)) + rows.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert len(data) < 100_000
    assert reason(data) == "large"


def test_damaged_files_have_a_reason():
    whole = data_of(picture(4))
    jpeg = data_of(picture(4, (200, 200)), "JPEG")
    broken = bytearray(whole)
    broken[whole.index(b"IDAT") + 10] ^= 0xFF
    assert reason(b"") == "empty"
    assert reason(whole[: len(whole) // 2]) == "damaged"
    assert reason(jpeg[: len(jpeg) // 2]) == "damaged"
    assert reason(bytes(broken)) == "damaged"
    assert reason(png(0, 0, b"")) in ("damaged", "no_pixels")
    assert reason(png(48, 48, b"")) == "damaged"
    assert reason(data_of(picture(1), "WEBP")[:60]) == "damaged"
    assert reason(data_of(picture(1), "GIF")[:30]) == "damaged"
    assert reason(data_of(picture(1), "BMP")[:60]) == "damaged"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"just text", "no_picture"),
        ("그냥 글".encode(), "no_picture"),
        (b"<html><script>alert(1)</script></html>", "no_picture"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "vector"),
        (b"8BPS\0\1" + bytes(40), "photoshop"),
        (b"SIMPLE  =                    T" + bytes(40), "format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "format"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "avif"),
        (b"%PDF-1.7", "pdf"),
    ],
)
def test_other_formats_are_refused_by_their_content(data, why):
    assert reason(data) == why


def test_a_tiff_under_the_name_of_a_jpeg_is_refused():
    assert reason(data_of(picture(1), "TIFF")) == "tiff"


ROWS = (b"\0" + bytes(48)) * 48
MEGABYTES = zlib.compress(bytes(50_000_000), 9)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + MEGABYTES),
        chunk(b"iTXt", b"workflow\0\1\0\0\0" + MEGABYTES),
        chunk(b"tEXt", b"prompt\0" + b"x" * 3_000_000),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + MEGABYTES),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + MEGABYTES),
        chunk(b"iCCP", b"profile\0\0" + MEGABYTES),
        chunk(b"iCCP", b"profile\0\5nonsense"),
        chunk(b"eXIf", b"MM\0*" + b"\xff" * 2_000_000),
        chunk(b"pHYs", b"\0"),
        chunk(b"prVT", b"x" * 2_000_000),
        chunk(b"tEXt", b"damaged\0x")[:-1] + b"?",
        b"".join(chunk(b"tEXt", b"a\0" + b"x" * 900_000) for _ in range(100)),
    ],
)
def test_what_is_no_pixel_never_makes_a_drawing_unreadable(extra):
    data = png(48, 48, ROWS, extra=extra)
    made = convert(data)
    assert (made.width, made.flags) == (48, ())
    end = data.rindex(b"IEND") - 4
    assert convert(png(48, 48, ROWS)[:-12] + extra + data[end:]).width == 48  # after the pixels
    damaged = bytearray(data)
    damaged[data.rindex(b"IDAT") + 8] ^= 0xFF
    assert reason(bytes(damaged)) == "damaged"


def test_a_large_colour_profile_is_used():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    opened, flags = read_upright(
        png(48, 48, ROWS, extra=chunk(b"iCCP", b"p\0\0" + zlib.compress(profile + bytes(3_000_000))))
    )
    assert flags <= {"colour_profile", "broken_profile"} and flags
    assert opened.getpixel((3, 3)) == (0, 0, 0)


def test_the_comment_of_comfyui_is_left_aside():
    workflow = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b'{"nodes": []}' * 200_000, 9))
    assert convert(png(48, 48, ROWS, extra=workflow)).width == 48


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_the_way_up_is_also_read_from_texts(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    text = f"\nexif\n{len(raw)}\n{raw.hex()}\n".encode()
    body = b"Raw profile type exif\0" + (text if kind == b"tEXt" else b"\0" + zlib.compress(text))
    opened, flags = read_upright(png(60, 40, (b"\0" + bytes(60)) * 40, extra=chunk(kind, body)))
    assert (opened.size, flags) == ((40, 60), {"turned"})


def test_broken_exif_leaves_the_pixels_as_they_are():
    exif = b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(20)
    opened, flags = read_upright(data_of(Image.new("RGB", (60, 40), "red"), "JPEG", exif=exif))
    assert (opened.size, flags) == ((60, 40), set())


def test_a_picture_that_is_also_a_zip_is_only_a_picture():
    made = convert(data_of(picture(5)) + b"PK\x03\x04 <script>")
    assert b"script" not in made.webp


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded():
    whole = data_of(Image.new("RGB", (64, 64), "red"), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    bomb = whole[:last] + whole[last:-2] * 100 + whole[-2:]
    asked = []
    with pytest.raises(Unreadable, match="reason_scans"):
        convert(bomb, asked.append)
    assert asked == []
    few = whole[:last] + whole[last:-2] * 20 + whole[-2:]
    assert convert(few).width == convert(whole).width == 64


def test_scans_are_counted_by_markers_and_not_by_bytes():
    """Bytes that look like a scan stand in a comment, and in what lies behind the end of the picture."""
    whole = data_of(Image.new("RGB", (64, 64), "red"), "JPEG", progressive=True)
    comment = b"\xff\xfe" + (2 + 2 * 200).to_bytes(2, "big") + b"\xff\xda" * 200
    assert convert(whole[:2] + comment + whole[2:] + b"\xff\xda" * 200).width == 64


def test_sixteen_bit_grey_is_rounded_to_the_nearest():
    values = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    image, flags = read_upright(data_of(Image.fromarray(values), "PNG"))
    assert np.array_equal(np.asarray(image)[..., 0], np.round(values / 257).astype(np.uint8))
    assert flags == {"deep"}
