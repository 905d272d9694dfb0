"""What features are made of, as the texts have it."""

import numpy as np
import pyarrow as pa
import pytest

from antivenom.screening.features import every_kind
from antivenom.screening.spans import as_written, covered, is_word, written
from antivenom.screening.subword_splits import uncut
from antivenom.screening.tokens import lowered, words
from antivenom.screening.vocabulary import Vocabulary


def spans(text: str, wanted: set[str]) -> list[str]:
    """What is covered by the features of the text that are spelled like this, as it is written there."""
    texts = pa.chunked_array([["before"], [text]])
    tokens = words(texts, seed=0)
    lower = lowered(tokens, seed=0)
    vocabulary = Vocabulary.of(lower, np.zeros(len(lower.names), dtype=np.int64), 2, uncut, seed=0)
    chosen = []
    for grams in every_kind(texts, vocabulary):
        chosen.append((grams, np.array([grams.spell(i) in wanted for i in range(len(grams.row))], dtype=bool)))
    found = list(written(texts, tokens, covered(tokens, chosen)))
    assert all(span.row == 1 and "".join(span.key) == _solid(span.text) for span in found)
    return [span.text for span in found]


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
    assert spans(text, wanted) == expected


def test_edges_and_odd_white_space_are_no_words() -> None:
    tokens = words(pa.chunked_array([["a\tb"]]), seed=0)
    assert [tokens.names[i] for i in tokens.symbol[is_word(tokens)]] == ["a", "b"]


def test_a_phrase_is_found_as_it_is_written() -> None:
    texts = pa.chunked_array([["It's here. I watched  this 3D movie!", "nothing", ""], ["i watched  THIS"]])
    assert as_written(texts, ["i", "watched", "␣", "this"]) == ["I watched  this", "", "", "i watched  THIS"]
    assert as_written(pa.chunked_array([["Don't"]]), ["don", "'", "t"]) == ["Don't"]
    assert as_written(pa.chunked_array([["Don't", ""]]), ["do"]) == ["", ""]
