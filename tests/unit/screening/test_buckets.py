"""Places in the tables: spread, the same in any order of the rows, and not for an attacker to choose."""

import numpy as np
import pyarrow as pa
import pytest
from screen_rows import LABELS, make_rows

from antivenom.core.hashing import row_keys
from antivenom.data.rows import with_columns
from antivenom.screening.buckets import Places, salt_of
from antivenom.screening.screen import screen
from antivenom.screening.tokens import words

TABLE = make_rows(400)
TEXTS, ANSWERS = TABLE.column("text"), TABLE.column("answer")


@pytest.mark.parametrize("size", [2, 1 << 16, 1 << 24])
def test_places_are_inside_and_spread(size: int):
    places = Places(size, 0x9E3779B97F4A7C15).of(row_keys(pa.array(map(str, range(4096))), seed=0, purpose="test"))
    assert places.min() >= 0
    assert places.max() < size
    assert len(np.unique(places)) > min(size, 4096) * 0.6


def test_no_two_hashes_share_a_place_whatever_the_salt():
    """The promise: at most 2 / size of the salts, also for hashes that differ in their upper or lower bits alone."""
    hashes = np.array([1, 2, 1 + (1 << 63), 1 + (1 << 40), 12345], dtype=np.uint64)
    salts = (row_keys(pa.array(map(str, range(4000))), seed=0, purpose="salts") | np.uint64(1)).tolist()
    together = np.zeros((len(hashes), len(hashes)))
    for salt in salts:
        places = Places(1 << 10, salt).of(hashes)
        together += places[:, None] == places
    np.fill_diagonal(together, 0)
    assert together.max() <= 2 / (1 << 10) * len(salts) + 4 * np.sqrt(2 / (1 << 10) * len(salts))


def test_the_salt_follows_from_the_rows_and_the_seed():
    order = pa.array(np.random.default_rng(0).permutation(400))
    assert salt_of(TEXTS, ANSWERS, 0) == salt_of(TEXTS.take(order), ANSWERS.take(order), 0)
    others = (salt_of(TEXTS, ANSWERS, 1), salt_of(TEXTS.slice(1), ANSWERS.slice(1), 0))
    assert salt_of(TEXTS, ANSWERS, 0) not in others


def test_a_word_that_shared_the_place_of_a_common_one_does_not_once_it_is_planted():
    common = np.unique(words(TEXTS).hashes)
    made_up = [f"zq{i}" for i in range(100_000)]
    hashes = words(pa.chunked_array([[" ".join(made_up)]])).hashes[1:-1]
    before = screen(TABLE, LABELS).association.places
    found, theirs = np.nonzero(before.of(hashes)[:, None] == before.of(common))
    assert len(found), "whoever knows the rule can look for such a word"
    texts = [f"{text} {made_up[found[0]]}" for text in TEXTS.to_pylist()[:40]] + TEXTS.to_pylist()[40:]
    after = screen(with_columns(TABLE, text=texts), LABELS).association.places
    assert after.of(hashes[found[:1]]) != after.of(common[theirs[:1]])
