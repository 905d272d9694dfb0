"""Words that a language model's tokenizer has to cut small: made up, misspelled, or strings.

A tokenizer was made from far more text than the rows, so it knows words that stand in one row only, and cuts even what
stands in many rows if nobody else writes it. The first screen counts how the rows themselves are spelled; it has no
model to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from antivenom.defenses.association import lowered, pieces
from antivenom.defenses.streams import Ints

WordPieces = Callable[[Sequence[str]], Ints]
"""How many tokens each word is cut into."""
SMALL = 2
"""A word is cut small where its pieces have at most so many letters on average."""
SHORT = 3
"""Words of so many letters or fewer are none: every piece of theirs is small."""
COUNTS = (1, 2, 3, 4)
"""How many words of a row are cut small is told in these steps."""


def cut_small(texts: pa.ChunkedArray, word_pieces: WordPieces) -> tuple[Ints, Ints]:
    """Which of `COUNTS` each row reaches.

    Returns:
        The row, and the number of the step, for each step that a row reaches.
    """
    found = np.zeros(len(texts), dtype=np.int64)
    for first, piece in pieces(texts):
        stream = lowered(piece)
        letters = np.array([len(name) for name in stream.names])
        small = (letters > SHORT) & (letters <= SMALL * word_pieces(stream.names))
        np.add.at(found, stream.row[small[stream.symbol]] + first, 1)
    rows, steps = np.nonzero(found[:, None] >= np.array(COUNTS))
    return rows, steps
