"""How a source of rows is to be read, and how large what it holds may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from antivenom.core.errors import OptionsError

Quotes = Literal["auto", "yes", "no"]


@dataclass(frozen=True)
class ReadLimits:
    """What one row or one file may cost; each can be raised where rows are honest and really so large."""

    longest_text: int = 1_000_000
    """Bytes of UTF-8 that a text, an answer or a turn may have; rows with more are refused and counted."""
    most_columns: int = 10_000
    """Columns that a file may have, and keys that an object of JSON may have."""
    most_expansion: int = 1000
    """How many times its own size a Parquet file may decode to, once that is more than 256 MiB."""
    largest_list: int = 2 * 2**30
    """Bytes of a .json file that is one list: it is held in memory whole. JSONL has no such limit."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise OptionsError(f"{name.replace('_', '-')} = {value}", mend="It is at least 1.")


@dataclass(frozen=True)
class ReadOptions:
    """What cannot be told from the source itself."""

    split: str = "train"
    """Which split of a folder or hub data set."""
    config: str = ""
    """Which configuration of a folder or hub data set that has several."""
    quotes: Quotes = "auto"
    """Whether quotation marks around cells of CSV and TSV are part of the cell (no) or not (yes). `auto`: not in CSV;
    in TSV, which has no quoting, only where the file proves that they were put there (as pandas does)."""
    limits: ReadLimits = ReadLimits()
    """What is too large."""
    batch_rows: int = 20_000
    """Rows that are looked at together; it changes no result."""
