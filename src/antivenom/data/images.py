"""Images in: from a path or bytes that nobody vouches for to a picture that surely can be decoded, or a reason.

Every image is decoded once while the rows are loaded, so that a broken one is a refused row and no crash in the middle
of a training.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antivenom.core.errors import AntivenomError, MissingPackageError, OptionsError
from antivenom.core.intake import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""What is decoded; Pillow's many other decoders never see a byte."""
LARGEST_FILE = 32 * 2**20
"""Bytes that one encoded image may have."""
LARGEST_IMAGE = 50_000_000
"""Pixels that one decoded image may have: a few kilobytes can spell billions of them."""
SMALLEST_SIDE = 8
"""Pixels; processors take a picture of one or three rows for one whose color channels come first."""
LONGEST_SHAPE = 100
"""How often the short side may go into the long one; Qwen's processor stops with an error at 200."""


class ImageError(AntivenomError):
    """Why an image cannot be used."""


@dataclass(frozen=True)
class ImageFolder:
    """Where the images that rows name may lie: nowhere else is a file opened, not even through a link."""

    root: Path | None = None
    """Paths are relative to it and stay in it; `/` allows every file of this machine. Without it, rows must carry the
    bytes themselves."""

    def __post_init__(self) -> None:
        if self.root is not None and not self.root.is_dir():
            raise OptionsError(f"image folder = {str(self.root)!r}", mend="There is no such folder.")

    def encoded(self, value: object) -> bytes:
        """The encoded image that a row's value stands for, read but not looked at.

        Args:
            value: Bytes, a path, or the structure of bytes and path that `datasets` writes.

        Raises:
            ImageError: says what is wrong with it.
        """
        if isinstance(value, Mapping) and set(value) <= {"bytes", "path"}:
            value = value.get("bytes") or value.get("path")
        if value is None or value in ("", b""):
            raise ImageError("missing image")
        if isinstance(value, str):
            value = self._read(value)
        if not isinstance(value, bytes):
            raise ImageError(f"{type(value).__name__} instead of a path or bytes as image")
        if len(value) > LARGEST_FILE:
            raise ImageError(f"image file of more than {LARGEST_FILE // 2**20} MiB")
        return value

    def _read(self, name: str) -> bytes:
        if self.root is None:
            raise ImageError("image named by a path, but these rows lie in no folder")
        try:
            root = self.root.resolve()
            path = (root / name).resolve()
            if not path.is_relative_to(root):
                raise ImageError("image path outside of the image folder")
            if not path.is_file():  # a pipe or a device would never end
                raise ImageError("no such image file")
            with open_regular(path, root=root) as file:
                return file.read(LARGEST_FILE + 1)
        except ImageError:
            raise
        except AntivenomError:
            raise ImageError("unreadable image file") from None
        except (OSError, ValueError) as error:  # too long, a null character, no permission
            raise ImageError(f"unreadable image file ({type(error).__name__})") from None


def image_reader(root: Path | None) -> Callable[[object], bytes | str]:
    """What reads the images of rows: their encoded bytes, surely decodable, or a string that says what is wrong.

    Raises:
        OptionsError: there is no such folder.
        MissingPackageError: Pillow is not installed.
    """
    folder = ImageFolder(root)
    require_pillow()

    def read(value: object) -> bytes | str:
        try:
            encoded = folder.encoded(value)
            check_image(encoded)
        except ImageError as error:
            return error.what
        return encoded

    return read


def check_image(encoded: bytes) -> None:
    """Decode an image whole and throw the pixels away.

    Raises:
        ImageError: it is broken, of an unknown format, or too large, too small or too long in shape.
    """
    open_image(encoded, largest=LARGEST_IMAGE)


def open_image(encoded: bytes, *, largest: int) -> Image:
    """Decode an image to RGB: the first frame, upright, on white where it is transparent.

    Args:
        encoded: PNG, JPEG, WebP or GIF.
        largest: Pixels beyond which it is scaled down, its shape kept.

    Raises:
        ImageError: it cannot be used.
    """
    require_pillow()
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, and about sizes that are refused here anyway
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as opened:
                _require_sane_size(*opened.size)
                return _scaled(_upright_rgb(opened), largest)
    except ImageError:
        raise
    except Exception as error:  # hostile bytes make decoders raise nearly anything
        raise ImageError(f"broken image ({type(error).__name__})") from None


def require_pillow() -> None:
    """Raise if Pillow is not installed.

    Raises:
        MissingPackageError: says how to get it.
    """
    from importlib.util import find_spec

    if find_spec("PIL") is None:
        raise MissingPackageError("reading images needs Pillow", mend="Run `pip install 'antivenom[images]'`.")


def _require_sane_size(width: int, height: int) -> None:
    if width * height > LARGEST_IMAGE:
        raise ImageError(f"image of more than {LARGEST_IMAGE // 10**6} million pixels")
    if min(width, height) < SMALLEST_SIDE:
        raise ImageError(f"image with a side of less than {SMALLEST_SIDE} pixels")
    if max(width, height) > LONGEST_SHAPE * min(width, height):
        raise ImageError(f"image more than {LONGEST_SHAPE} times as long as wide")


def _upright_rgb(opened: Any) -> Image:
    """The first frame, turned as its EXIF data says."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(opened)
    if not upright.has_transparency_data:
        rgb: Image.Image = upright.convert("RGB")
        return rgb
    # Converted straight to RGB, what nobody can see would show.
    picture = upright.convert("RGBA")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    white.alpha_composite(picture)
    return white.convert("RGB")


def _scaled(picture: Image, largest: int) -> Image:
    width, height = picture.size
    if width * height <= largest:
        return picture
    from PIL import Image

    factor = sqrt(largest / (width * height))
    size = (max(SMALLEST_SIDE, int(width * factor)), max(SMALLEST_SIDE, int(height * factor)))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
