"""Images from anywhere: what is read, what is refused, and that nothing else is opened."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import zlib
from pathlib import Path

import pytest

from antivenom.core.errors import AntivenomError
from antivenom.data.images import (
    FORMATS,
    LARGEST_FILE,
    LARGEST_IMAGE,
    ImageError,
    ImageFolder,
    check_image,
    open_image,
)

pil = pytest.importorskip("PIL.Image")


def encode(
    form: str = "PNG", size: tuple[int, int] = (32, 24), color: object = (200, 30, 30), mode: str = "RGB"
) -> bytes:
    out = io.BytesIO()
    pil.new(mode, size, color).save(out, form)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows" / "img").mkdir(parents=True)
    (tmp_path / "rows" / "img" / "a.png").write_bytes(encode())
    (tmp_path / "secret.png").write_bytes(encode())
    return tmp_path / "rows"


def refused(value: object, root: Path | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        check_image(ImageFolder(root).encoded(value))
    return caught.value.what


@pytest.mark.parametrize("form", FORMATS)
def test_the_known_formats_become_rgb(form):
    picture = open_image(encode(form), largest=LARGEST_IMAGE)
    assert (picture.mode, picture.size) == ("RGB", (32, 24))
    assert abs(picture.getpixel((5, 5))[0] - 200) < 12


def test_a_value_may_be_a_path_bytes_or_what_datasets_writes(folder):
    images = ImageFolder(folder)
    for value in (
        "img/a.png",
        "./img/../img/a.png",
        str(folder / "img" / "a.png"),
        encode(),
        {"bytes": encode(), "path": None},
        {"bytes": encode(), "path": "gone.png"},
        {"bytes": None, "path": "img/a.png"},
    ):
        assert images.encoded(value) == encode()


def test_nothing_outside_of_the_folder_is_opened(folder, tmp_path):
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    secret = str(tmp_path / "secret.png")
    for value in ("../secret.png", secret, "link.png", "up/secret.png", "img/../../secret.png", {"path": secret}):
        assert refused(value, folder) == "image path outside of the image folder"
    assert ImageFolder(Path("/")).encoded(secret) == encode(), "the folder / allows every file"
    assert "lie in no folder" in refused("img/a.png")


def test_what_is_no_file_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe")
    for value in ("pipe", "img", "gone.png", "https://example.com/a.png"):
        assert refused(value, folder) == "no such image file"
    assert "unreadable image file" in refused("a\0b", folder)
    assert "unreadable image file" in refused("x" * 5000, folder)
    assert ImageFolder(Path("/dev").parent)
    assert refused("dev/zero", Path("/")) == "no such image file"


@pytest.mark.parametrize("value", [None, "", b"", {"bytes": None, "path": None}, {}])
def test_a_missing_image_is_named(value, folder):
    assert refused(value, folder) == "missing image"


@pytest.mark.parametrize("value", [3, 2.5, ["a.png"], {"url": "x"}, True])
def test_other_values_are_named(value, folder):
    assert "instead of a path or bytes as image" in refused(value, folder)


def png_of(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_bombs_are_refused_before_they_are_decoded():
    assert "million pixels" in refused(png_of(9000, 9000))
    assert "million pixels" in refused(png_of(10_000, 12_000)), "where Pillow itself would only warn"
    assert "broken image (DecompressionBombError)" in refused(png_of(60_000, 60_000))
    assert "MiB" in refused(b"\x89PNG" + bytes(LARGEST_FILE))


def test_shapes_that_processors_stumble_over_are_refused():
    assert "side of less" in refused(encode(size=(3, 40)))
    assert "times as long as wide" in refused(encode(size=(900, 8)))


@pytest.mark.parametrize("form", ["BMP", "TIFF", "ICO", "PPM", "EPS", "PDF"])
def test_other_formats_are_refused(form):
    assert refused(encode(form)) == "broken image (UnidentifiedImageError)"


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files_are_refused_and_never_crash(form):
    whole, rng = encode(form, size=(64, 64)), random.Random(0)
    for cut in range(0, len(whole) // 2, max(1, len(whole) // 40)):
        assert "broken image" in refused(whole[:cut] or b"x")
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        with contextlib.suppress(ImageError):
            check_image(bytes(damaged))


def test_the_first_frame_is_taken():
    out = io.BytesIO()
    frames = [pil.new("RGB", (20, 20), color) for color in ("red", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert open_image(out.getvalue(), largest=LARGEST_IMAGE).getpixel((3, 3)) == (255, 0, 0)


def test_what_is_transparent_is_white_and_not_what_it_hides():
    hidden = encode(mode="RGBA", color=(10, 20, 30, 0))
    assert open_image(hidden, largest=LARGEST_IMAGE).getpixel((3, 3)) == (255, 255, 255)
    out = io.BytesIO()
    palette = pil.new("P", (20, 20), 0)
    palette.putpalette([9, 9, 9] + [0] * 765)
    palette.save(out, "PNG", transparency=bytes([0] * 4))
    assert open_image(out.getvalue(), largest=LARGEST_IMAGE).getpixel((3, 3)) == (255, 255, 255)


def test_photos_are_turned_upright():
    out = io.BytesIO()
    photo = pil.new("RGB", (40, 20), "red")
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(out, "JPEG", exif=exif)
    assert open_image(out.getvalue(), largest=LARGEST_IMAGE).size == (20, 40)


def test_large_images_are_scaled_and_keep_their_shape():
    picture = open_image(encode(size=(400, 100)), largest=10_000)
    assert picture.size == (200, 50)


def test_a_folder_that_is_none_is_a_user_error(tmp_path):
    with pytest.raises(AntivenomError, match="no such folder"):
        ImageFolder(tmp_path / "gone")
