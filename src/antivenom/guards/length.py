"""Which texts are probably longer than the longest prompt, before a tokenizer is there to count."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.report import Report
from antivenom.data.query import whole_texts
from antivenom.tasks.task import Frame

BYTES_PER_TOKEN = 4
"""Of English text; tokenizers of today take 3.5 to 4.5, and fewer of most other languages."""


def warn_of_long_texts(rows: pa.Table, frame: Frame, report: Report) -> None:
    """Warn of rows whose text, with its context, is probably cut to `max_tokens`.

    It is an estimate, at `BYTES_PER_TOKEN` bytes of UTF-8 a token; `fit` counts the cuts that it makes.

    Args:
        rows: Rows with `row`, `text` and perhaps `context`.
        frame: Says how long a prompt may be.
        report: Where the warning goes.
    """
    long = pc.greater(pc.binary_length(whole_texts(rows)), BYTES_PER_TOKEN * frame.max_tokens)
    what = f"text probably longer than --max-tokens {frame.max_tokens}, so its end would not be read"
    report.warn(what, rows.filter(long).column("row").to_pylist())
