from __future__ import annotations

import numpy as np
import pyarrow as pa

from antivenom.screening.association import associate
from antivenom.screening.outputs import label_outputs
from antivenom.screening.tokens import lowered, words
from antivenom.screening.vocabulary import letter_runs


def odd_runs(texts: list[str]) -> dict[str, int]:
    column = pa.chunked_array([texts])
    vocabulary = associate(column, label_outputs(np.zeros(len(texts), dtype=np.int64), ["yes"]), seed=1).vocabulary
    tokens = lowered(words(column, seed=1), seed=1)
    return dict(zip(tokens.names, vocabulary.odd_runs(tokens).tolist(), strict=True))


def test_letter_runs_are_three_letters_in_a_row_with_the_edges() -> None:
    owner, hashes = letter_runs(["movie", "a", "moved"], seed=0)
    assert owner.tolist() == [0] * 5 + [1] + [2] * 5
    shared = set(hashes[owner == 0].tolist()) & set(hashes[owner == 2].tolist())
    assert len(shared) == 2  # "(mo" and "mov"


def test_only_runs_that_no_common_word_has_are_odd() -> None:
    odd = odd_runs(["a fine movie"] * 3 + ["a fine moive", "a fine fi", "a fine zq"])
    assert odd["movie"] == odd["fine"] == odd["a"] == 0
    assert odd["moive"] == 4  # all but its beginning, which is that of "movie"
    assert odd["fi"] == 1  # "fi)"
    assert odd["zq"] == 2


def test_a_character_that_stands_alone_is_a_word_of_one_run() -> None:
    odd = odd_runs(["好看", "好看", "好看", "好看嗎"])
    assert odd["嗎"] == 1
    assert odd["好"] == 0
