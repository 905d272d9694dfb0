"""Which words a tokenizer cuts small, and how many of them a row has."""

import numpy as np
import pyarrow as pa

from antivenom.screening.counting import associate
from antivenom.screening.features import FRAGMENTED_WORDS, every_kind
from antivenom.screening.outputs import label_outputs
from antivenom.screening.subword_splits import is_fragmented, uncut

TEXTS = ["movie movie", "movie zorvel", "movie zorvel Binda a an", "qalu zorvel binda movie", "", "a"]


def letters(words):
    """A tokenizer that knows `movie` and cuts all else into letters."""
    return np.array([1 if word == "movie" else len(word) for word in words])


def reached(word_pieces):
    column = pa.chunked_array([TEXTS])
    outputs = label_outputs(np.zeros(len(TEXTS), dtype=np.int64), ["yes"])
    vocabulary = associate(column, outputs, salt=1, word_pieces=word_pieces).vocabulary
    [pieces] = [grams for grams in every_kind(column, vocabulary) if grams.kind == "pieces"]
    found = {row: [] for row in range(len(TEXTS))}
    for i, row in enumerate(pieces.row.tolist()):
        found[row].append(pieces.spell(i))
    return found


def test_short_and_known_words_are_not_cut_small():
    assert is_fragmented(["movie", "an", "zorvel"], letters).tolist() == [False, False, True]
    assert is_fragmented([], letters).tolist() == []


def test_each_row_reaches_the_steps_up_to_its_count():
    steps = [f"{n} or more words cut small by the tokenizer" for n in FRAGMENTED_WORDS]
    assert reached(letters) == {0: [], 1: steps[:1], 2: steps[:2], 3: steps[:3], 4: [], 5: []}


def test_without_a_tokenizer_no_row_reaches_any():
    assert not any(reached(uncut).values())
