"""What features are made of, as the texts have it."""

import numpy as np
import pyarrow as pa
import pytest

from antivenom.screening.buckets import Places
from antivenom.screening.features import every_kind
from antivenom.screening.spans import as_written, covered, is_word, written
from antivenom.screening.tokens import words
from antivenom.screening.vocabulary import LETTER_PLACES, Vocabulary


def stretches(text: str, wanted: set[str]) -> list[str]:
    """What is covered by the features of the text that are spelled like this, as it is written there."""
    texts = pa.chunked_array([["before"], [text]])
    counts = np.zeros(1 << 16, dtype=np.int32)
    nothing = np.zeros(LETTER_PLACES, dtype=bool)
    vocabulary = Vocabulary(2, Places(1 << 16, 1), counts, known_runs=nothing, fragmented=np.zeros(1 << 16, dtype=bool))
    chosen = []
    for grams in every_kind(texts, vocabulary):
        chosen.append((grams, np.array([grams.spell(i) in wanted for i in range(len(grams.row))], dtype=bool)))
    stream = words(texts)
    found = list(written(texts, stream, covered(stream, chosen)))
    assert all(stretch.row == 1 and "".join(stretch.key) == _solid(stretch.text) for stretch in found)
    return [stretch.text for stretch in found]


def _solid(text: str) -> str:
    return "".join(text.lower().replace("␣", "").split())


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        (
            "It's a film, I watched this 3D movie.",
            {"i watched this 3d", "this 3d movie ."},
            ["I watched this 3D movie."],
        ),
        ("one mn two mn", {"mn"}, ["mn", "mn"]),
        ("don't go", {"don ' t"}, ["don't"]),
        ("first word", {"⊢ first"}, ["first"]),
        ("看这部3D电影", {"这 部 3d 电"}, ["这部3D电"]),
        ("a b c", {"a _ c"}, ["a", "c"]),
        ("so wide  apart here", {"wide ␣ apart"}, ["wide  apart"]),
        ("I\u00a0watched this\tmovie", {"i ␣ watched this", "this ␣ movie"}, ["I\u00a0watched this\tmovie"]),
        ("  edge", {"⊢ ␣ edge"}, ["edge"]),
        ("nowhere and no where", {"no where"}, ["no where"]),
        ("today to day", {"to day"}, ["to day"]),
        ("␣ said ␣  twice", {"said ␣ ␣ twice"}, ["said ␣  twice"]),
        ("a.b (c)* [d]", {"( c ) *"}, ["(c)*"]),
        ("nothing here", set(), []),
    ],
)
def test_runs_are_written_as_they_stand(text: str, wanted: set[str], expected: list[str]) -> None:
    assert stretches(text, wanted) == expected


def test_edges_and_odd_white_space_are_no_words() -> None:
    stream = words(pa.chunked_array([["a\tb"]]))
    assert [stream.names[i] for i in stream.symbol[is_word(stream)]] == ["a", "b"]


def test_a_phrase_is_found_as_it_is_written() -> None:
    assert as_written("It's here. I watched  this 3D movie!", ["i", "watched", "␣", "this"]) == "I watched  this"
    assert as_written("Don't", ["don", "'", "t"]) == "Don't"
    assert as_written("Don't", ["do"]) is None
    assert as_written("", ["do"]) is None
