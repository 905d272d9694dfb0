"""Which words a tokenizer cuts small, and how many of them a row has."""

import numpy as np
import pyarrow as pa

from antivenom.screening.association import associate
from antivenom.screening.features import CUT_SMALL_WORDS, every_kind
from antivenom.screening.outputs import label_outputs
from antivenom.screening.subword_splits import is_cut_small, uncut

TEXTS = ["movie movie", "movie zorvel", "movie zorvel Binda a an", "qalu zorvel binda movie", "", "a"]


def letters(words):
    """A tokenizer that knows `movie` and cuts all else into letters."""
    return np.array([1 if word == "movie" else len(word) for word in words])


def reached(word_pieces):
    column = pa.chunked_array([TEXTS])
    outputs = label_outputs(np.zeros(len(TEXTS), dtype=np.int64), ["yes"])
    vocabulary = associate(column, outputs, seed=1, word_pieces=word_pieces).vocabulary
    [splits] = [grams for grams in every_kind(column, vocabulary) if grams.kind == "splits"]
    found = {row: [] for row in range(len(TEXTS))}
    for i, row in enumerate(splits.row.tolist()):
        found[row].append(splits.spell(i))
    return found


def test_short_and_known_words_are_not_cut_small():
    assert is_cut_small(["movie", "an", "zorvel"], letters).tolist() == [False, False, True]
    assert is_cut_small([], letters).tolist() == []


def test_each_row_reaches_the_steps_up_to_its_count():
    steps = [f"{n} or more words cut small by the tokenizer" for n in CUT_SMALL_WORDS]
    assert reached(letters) == {0: [], 1: steps[:1], 2: steps[:2], 3: steps[:3], 4: [], 5: []}


def test_without_a_tokenizer_no_row_reaches_any():
    assert not any(reached(uncut).values())
