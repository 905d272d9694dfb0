"""How many words of a row a tokenizer cuts small."""

import numpy as np
import pyarrow as pa

from antivenom.defenses.fragments import COUNTS, cut_small


def letters(words):
    """A tokenizer that knows `movie` and cuts all else into letters."""
    return np.array([1 if word == "movie" else len(word) for word in words])


def test_each_row_reaches_the_steps_up_to_its_count():
    texts = pa.chunked_array([["movie movie", "movie zorvel", "movie zorvel Binda a an", "qalu zorvel binda movie"]])
    rows, steps = cut_small(texts, letters)
    reached = [[COUNTS[step] for step in steps[rows == row]] for row in range(4)]
    assert reached == [[], [1], [1, 2], [1, 2, 3]]


def test_no_text_has_no_step():
    rows, steps = cut_small(pa.chunked_array([["", "a"]]), letters)
    assert len(rows) == len(steps) == 0
