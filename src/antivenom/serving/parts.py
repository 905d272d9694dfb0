"""The content of a turn: a string, or parts of text and at most one image that comes with the request."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from antivenom.serving.errors import refused

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")


def content_of(content: Any, where: str, *, images: bool, empty: bool = False) -> tuple[str, bytes | None]:
    """The text of a turn and its image.

    Args:
        content: The value of the field.
        where: Its name, for errors.
        images: Whether there may be one. Only images inside the request are taken: nothing is ever fetched.
        empty: Whether it may say nothing.

    Raises:
        ApiError: it is neither text nor parts that can be taken.
    """
    if isinstance(content, str):
        return content if empty else _with_text(content, where), None
    if not isinstance(content, list) or not content:
        raise refused(where, "expected a string or a list of parts")
    texts: list[str] = []
    image: bytes | None = None
    for i, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and part.keys() == {"type", "text"} and isinstance(part["text"], str):
            texts.append(part["text"])
        elif kind == "image_url" and images and image is None:
            image = _image(part.get("image_url"), f"{where}[{i}]")
        else:
            raise refused(f"{where}[{i}]", "this part cannot be taken here", code="unsupported_value")
    text = "\n".join(texts)
    return text if empty else _with_text(text, where), image


def _with_text(text: str, where: str) -> str:
    if not text.strip():
        raise refused(where, "is empty")
    return text


def _image(value: Any, where: str) -> bytes:
    url = value.get("url") if isinstance(value, dict) else None
    head, comma, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not comma or head not in {f"data:{kind};base64" for kind in IMAGE_TYPES}:
        raise refused(where, f"expected a data: URL in base64 of {', '.join(IMAGE_TYPES)}")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise refused(where, "is not base64") from None
