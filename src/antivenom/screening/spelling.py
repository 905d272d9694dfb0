"""How words of features are written in the texts they stand in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from antivenom.screening.tokens import SPACE, words


def as_written(texts: pa.ChunkedArray, key: Sequence[str]) -> list[str]:
    """How lower-cased words are written where they first stand in each text; empty where they do not.

    Args:
        texts: The texts.
        key: The words.
    """
    tokens, found, size = words(texts, seed=0), [], len(key)
    ends = np.cumsum(np.bincount(tokens.row, minlength=len(texts)))
    for text, first, last in zip(texts.to_pylist(), [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        names = [tokens.names[symbol] for symbol in tokens.symbol[first + 1 : last - 1]]
        lower = [name.lower() for name in names]
        starts = (start for start in range(len(names) - size + 1) if lower[start : start + size] == list(key))
        start = next(starts, None)
        places = _places(text, names) if start is not None else []
        found.append("" if start is None else text[places[start][0] : places[start + size - 1][1]])
    return found


def _places(text: str, tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Where each token stands: its first character and the one behind its last; of white space neither matters.

    Tokens keep all characters that are no white space, in their order.
    """
    solid = [place for place, character in enumerate(text) if not character.isspace()]
    found, at = [], 0
    for token in tokens:
        if token == SPACE and (at == len(solid) or text[solid[at]] != SPACE):
            found.append((0, 0))
            continue
        found.append((solid[at], solid[at + len(token) - 1] + 1))
        at += len(token)
    return found
