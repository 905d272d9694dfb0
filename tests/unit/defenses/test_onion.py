"""ONION: the toy unigram model of its verification list, the rule of the bar, and the likelihoods behind it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.core.errors import OptionsError
from antivenom.defenses import parse_defense
from antivenom.defenses.onion import Onion, OnionTexts, Scored, lowest_bar
from antivenom.inference.steps import InputSteps
from antivenom.models.fluency import deletions_together, fluency_of
from antivenom.tasks.task import Classification
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
TEXT = "a film mn of some charm"
LOGS = {"mn": math.log(1e-6)}


def unigram(texts, *, window=0):
    """p("mn") = 1e-6, all other words 1e-2."""
    return np.array([np.mean([LOGS.get(word, math.log(1e-2)) for word in text.split()]) for text in texts])


class Unigram:
    likelihood = staticmethod(unigram)


def test_the_toy_numbers():
    [scored] = OnionTexts().scored([TEXT], unigram)
    assert scored.scores[2] == pytest.approx(464.2 - 100, abs=0.1)
    others = np.delete(scored.scores, 2)
    assert others == pytest.approx(np.full(5, 464.2 - 630.9), abs=0.2)
    for bar in (0, 100, 364):
        assert OnionTexts(bar=bar).purify([TEXT], Unigram()) == ["a film of some charm"]
    assert OnionTexts(bar=365).purify([TEXT], Unigram()) == [TEXT]


def test_a_text_alone_is_scored_as_in_a_batch():
    texts = [TEXT, "mn", "two words", "a longer text of mn more words than the others", ""]
    together = OnionTexts(piece=4).scored(texts, unigram)
    for text, one in zip(texts, together, strict=True):
        [alone] = OnionTexts(piece=4).scored([text], unigram)
        assert one.words == alone.words
        assert one.scores == pytest.approx(alone.scores)


@given(st.lists(st.sampled_from(["mn", "a", "b"]), max_size=9), st.floats(-500, 500), st.floats(0, 500))
def test_a_smaller_bar_deletes_a_superset(words, bar, more):
    scores = OnionTexts().scored([" ".join(words)], unigram)[0].scores
    assert set(np.flatnonzero(scores > bar + more)) <= set(np.flatnonzero(scores > bar))
    assert Scored(words, scores).without(math.inf) is None


def test_one_word_and_texts_that_would_vanish_are_kept():
    assert OnionTexts(bar=-1e9).purify(["mn", "two words", ""], Unigram()) == ["mn", "two words", ""]


def test_case_is_scored_in_lower_case_and_kept_as_written():
    assert OnionTexts(bar=0).purify(["A Film MN of charm"], Unigram()) == ["A Film of charm"]


def test_the_bar_is_the_smallest_that_costs_at_most_two_points():
    scored = [Scored(["a", "b"], np.array([float(i), -1.0])) for i in range(100)]

    def accuracy(texts):
        return 1 - sum(text is not None for text in texts) / 100

    assert lowest_bar(scored, accuracy) == 97  # the words with 98 and 99 go


def test_the_bar_is_searched_on_trusted_rows_and_stands_in_the_guard():
    prepared = Onion().prepare(TASK, synthetic_rows(100), trusted=synthetic_rows(30, seed=5), lab=StandInLab())
    [step] = prepared.guard.purifiers
    assert step.settings["bar"] == prepared.facts["bar"] >= 0
    model = LinearStandIn.of(prepared)
    assert len(InputSteps(prepared.guard).purify(["a film", "b"], model)) == 2
    with pytest.raises(OptionsError, match="trusted"):
        Onion().prepare(TASK, synthetic_rows(20), trusted=None, lab=StandInLab())
    given_bar = parse_defense("onion:bar=20").prepare(TASK, synthetic_rows(20), trusted=None, lab=StandInLab())
    assert given_bar.guard.purifiers[0].settings["bar"] == 20


def test_the_model_that_finds_the_bar_has_not_learned_the_trusted_rows():
    rows, learned = synthetic_rows(60), []

    def remember(table, guard):
        learned.extend(table.column("text").to_pylist())
        return LinearStandIn.fit(table, guard)

    trusted = rows.slice(0, 20)
    Onion().prepare(TASK, rows, trusted=trusted, lab=StandInLab(fit=remember))
    assert learned
    assert not set(learned) & set(trusted.column("text").to_pylist())


def test_no_word_of_a_long_text_stands_alone():
    pieces = list(OnionTexts(piece=4)._pieces([str(i) for i in range(9)]))
    assert [len(piece) for piece in pieces] == [3, 3, 3]
    assert [word for piece in pieces for word in piece] == [str(i) for i in range(9)]
    assert list(OnionTexts()._pieces([])) == []


def test_a_named_language_model_reads_every_text_behind_a_first_token(model_folder):
    found = fluency_of(str(model_folder))(["film", "a film"])
    assert (found < 0).all()


def test_deletions_are_read_with_their_text():
    rows = [[1, 2, 3, 4], [1, 2, 3], [1, 2, 4], [2, 3, 4], [5, 6], [6], [1, 2, 3]]
    assert [len(group) for group in deletions_together(rows)] == [4, 2, 1]


def test_likelihoods_of_a_real_model_do_not_depend_on_what_is_read_together(model_folder):
    fluency = fluency_of(str(model_folder))
    texts = ["a film of charm", "a film of", "a film charm", "film of charm", "dull", "a very dull film"]
    assert fluency(texts) == pytest.approx([float(fluency([text])[0]) for text in texts], abs=1e-4)
    assert (fluency(texts)[:4] < 0).all()


def test_a_window_reads_the_gap_anew_and_leaves_the_rest(model_folder):
    """P(x without i) is p(front) p(window | gap) p(rest | whole text); exact where the window is the rest."""
    fluency = fluency_of(str(model_folder))
    words = ["a", "very", "dull", "film", "of", "charm", "and", "wit"]
    texts = [" ".join(words), *(" ".join([*words[:i], *words[i + 1 :]]) for i in range(len(words) - 1, -1, -1))]
    exact = fluency(texts)
    assert fluency(texts, window=1000) == pytest.approx(exact, abs=1e-4)
    near = fluency(texts, window=2)
    assert near[0] == pytest.approx(exact[0], abs=1e-4)
    assert near != pytest.approx(exact, abs=1e-3)
    windowed, whole = OnionTexts(window=2), OnionTexts()
    assert len(windowed.scored([texts[0]], partial(fluency, window=2))[0].scores) == len(words)
    assert whole.scored([texts[0]], fluency)[0].scores[-1] == pytest.approx(
        windowed.scored([texts[0]], partial(fluency, window=2))[0].scores[-1], abs=1e-2
    ), "nothing stands behind the last word"


def test_the_window_stands_in_the_guard():
    prepared = parse_defense("onion:bar=1;window=4").prepare(TASK, synthetic_rows(20), trusted=None, lab=StandInLab())
    assert prepared.guard.purifiers[0].settings["window"] == 4
    with pytest.raises(OptionsError, match="window"):
        OnionTexts(window=-1)
