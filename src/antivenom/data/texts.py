"""Texts in: what is to be answered needs no labels."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

from antivenom.core.errors import RowsError
from antivenom.data.cleaning import Refused, as_text
from antivenom.data.columns import TEXT_COLUMNS, find_column
from antivenom.data.images import image_reader
from antivenom.data.query import Asked, Query
from antivenom.data.read_options import ReadOptions
from antivenom.data.rows import image_folder_of, open_rows


def load_texts(
    source: str,
    *,
    text: str | None = None,
    split: str = "train",
    image: str | None = None,
    image_folder: PathLike[str] | str | None = None,
) -> list[Asked]:
    """Load a column of texts that need no labels, with their images if a column of those is named.

    Raises:
        RowsError: a row has no text, or an image that cannot be used; its number is named.
    """
    return list(iterate_texts(source, text=text, split=split, image=image, image_folder=image_folder))


def iterate_texts(
    source: str,
    *,
    text: str | None = None,
    split: str = "train",
    image: str | None = None,
    image_folder: PathLike[str] | str | None = None,
) -> Iterator[Asked]:
    """Yield what `load_texts` returns without holding the file in memory."""
    try:
        raw = open_rows(source, ReadOptions(split))
        column = find_column(raw.columns, text, TEXT_COLUMNS, "text")
        pictures = None if image is None else find_column(raw.columns, image, (), "image")
        read_image = image_reader(image_folder_of(source, image_folder)) if pictures is not None else None
        wanted = [column] if pictures is None else [column, pictures]
        for number, record in (row for batch in raw.batches(wanted) for row in batch):
            value = as_text(record.get(column))
            if isinstance(value, Refused):
                raise RowsError(f"{source}, row {number}: {value} text")
            if read_image is None or pictures is None:
                yield value
                continue
            picture = read_image(record.get(pictures))
            if isinstance(picture, str):
                raise RowsError(f"{source}, row {number}: {picture}")
            yield Query(value, image=picture)
    except OSError as error:
        raise RowsError(f"{source}: cannot be read ({error.strerror or error})") from None
