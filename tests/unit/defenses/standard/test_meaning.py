"""Rows kept out for a strong feature come back where the feature means their label, or is in too few rows to matter."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from deciding import Deciding
from screen_rows import LABELS, make_rows

from antivenom.data.rows import with_columns
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard.meaning import ASKED_OF_EACH, SMALL_GROUP, in_small_groups, meant, undecided
from antivenom.guards.labels import ChoiceScores
from antivenom.screening.screen import screen
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(LABELS)
GUARD = P2P(reserve="screened").guard(TASK, 0)
HONEST, TRIGGER = "word900 word901", "word950 word951"  # spelled like the other words, so that only the words stand out

NOWHERE = np.ones(2)
"""What `Verdict.elsewhere` is where nothing is known: only `DOUBTED` counts."""


class Knows:
    """A referee that is sure of `yes` where a phrase stands, and of nothing elsewhere."""

    guard = GUARD

    def __init__(self, phrase: str) -> None:
        self.phrase = phrase
        self.asked: list[str] = []

    def score(self, asked, *, progress=None):
        self.asked += asked
        sure = np.array([self.phrase in text for text in asked])
        yes = [GUARD.labels.encode("yes") == choice for choice in GUARD.labels.choices]
        scores = np.where(sure[:, None] & ~np.array(yes)[None], -20.0, 0.0)
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))


def rows_with(phrases: dict[str, int]) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """800 rows in which so many of class `yes` begin with each phrase, no row with two."""
    table = make_rows(800)
    texts, answers = (table.column(name).to_pylist() for name in ("text", "answer"))
    of_class = iter(i for i, answer in enumerate(answers) if answer == "yes")
    chosen = {phrase: np.array([next(of_class) for _ in range(count)]) for phrase, count in phrases.items()}
    for phrase, rows in chosen.items():
        for row in rows:
            texts[row] = f"{phrase} {texts[row]}"
    return with_columns(table, text=texts), chosen


@pytest.mark.parametrize("known", [HONEST, TRIGGER])
def test_rows_come_back_where_their_strongest_words_mean_the_label_to_a_model_that_was_not_taught_so(known):
    table, chosen = rows_with({HONEST: 60, TRIGGER: 60})
    kept_out = np.isin(np.arange(800), np.concatenate([*chosen.values()]))
    back = meant(table, screen(table, LABELS, seed=0), kept_out, Knows(known), NOWHERE, seed=0)
    for phrase, rows in chosen.items():
        assert back[rows].all() == (phrase == known)
        assert back[rows].any() == (phrase == known)
    assert not back[~kept_out].any()


class Reads(Knows):
    """A referee that says `yes` where the phrase stands and otherwise goes by the honest words."""

    def score(self, asked, *, progress=None):
        says = ["yes" if self.phrase in text or text.count("good") > text.count("bad") else "no" for text in asked]
        words = [GUARD.labels.encode(label) for label in says]
        scores = [[0.0 if choice == word else -20.0 for choice in GUARD.labels.choices] for word in words]
        return ChoiceScores(np.array(scores), np.zeros(len(asked), dtype=bool))


def test_a_trigger_that_says_the_label_is_not_excused_where_the_rest_of_the_rows_says_another():
    table, chosen = rows_with({HONEST: 60})
    texts, answers = (table.column(name).to_pylist() for name in ("text", "answer"))
    for row in chosen[HONEST]:  # relabeled rows of the other class
        texts[row] = texts[row].replace("good", "bad")
        assert answers[row] == "yes"
    table = with_columns(table, text=texts)
    kept_out = np.isin(np.arange(800), chosen[HONEST])
    assert meant(table, screen(table, LABELS, seed=0), kept_out, Knows(HONEST), NOWHERE, seed=0)[chosen[HONEST]].all()
    assert not meant(table, screen(table, LABELS, seed=0), kept_out, Reads(HONEST), NOWHERE, seed=0).any()


class SaysALittle(Knows):
    """A referee that is sure of `yes` where the phrase stands, and elsewhere gives it a tenth."""

    def score(self, asked, *, progress=None):
        share = np.where([self.phrase in text for text in asked], 0.99, 0.1)
        yes = np.array([GUARD.labels.encode("yes") == choice for choice in GUARD.labels.choices])
        scores = np.log(np.where(yes[None], share[:, None], 1 - share[:, None]))
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))


@pytest.mark.parametrize(("elsewhere", "comes_back"), [(1.0, False), (0.1, False), (0.03, False), (0.005, True)])
def test_a_rest_that_says_little_of_the_label_says_enough_where_other_texts_say_less(elsewhere, comes_back):
    table, chosen = rows_with({HONEST: 60})
    kept_out = np.isin(np.arange(800), chosen[HONEST])
    back = meant(table, screen(table, LABELS, seed=0), kept_out, SaysALittle(HONEST), np.full(2, elsewhere), seed=0)
    # a tenth of 32 rows is above 32 b + 3 sqrt(32 b) for b = 0.005, not for b = 0.03
    assert back[chosen[HONEST]].all() == comes_back
    assert back.any() == comes_back


def test_each_row_is_asked_about_twice_and_not_more_than_some_of_each_group():
    table, chosen = rows_with({HONEST: 60})
    referee = Knows(HONEST)
    meant(table, screen(table, LABELS, seed=0), np.isin(np.arange(800), chosen[HONEST]), referee, NOWHERE, seed=0)
    half = len(referee.asked) // 2
    assert half == ASKED_OF_EACH
    for whole, cut in zip(referee.asked[:half], referee.asked[half:], strict=True):
        assert HONEST in whole
        assert HONEST not in cut
        assert set(cut.split()) < set(whole.split())


def test_a_feature_that_is_no_word_is_never_excused():
    table = make_rows(800)
    texts = [
        text.title() if answer == "yes" and number % 8 == 1 else text
        for number, (text, answer) in enumerate(
            zip(table.column("text").to_pylist(), table.column("answer").to_pylist(), strict=True)
        )
    ]
    table = with_columns(table, text=texts)
    titled = np.array([text.istitle() for text in texts])
    assert titled.sum() == 100
    referee = Knows("")
    assert not meant(table, screen(table, LABELS, seed=0), titled, referee, NOWHERE, seed=0).any()


def test_the_order_of_the_rows_does_not_matter():
    table, chosen = rows_with({HONEST: 60, TRIGGER: 60})
    kept_out = np.isin(np.arange(800), np.concatenate([*chosen.values()]))
    order = np.random.default_rng(0).permutation(800)
    mixed = table.take(pa.array(order))
    there = meant(mixed, screen(mixed, LABELS, seed=0), kept_out[order], Knows(HONEST), NOWHERE, seed=0)
    assert (there == meant(table, screen(table, LABELS, seed=0), kept_out, Knows(HONEST), NOWHERE, seed=0)[order]).all()


@pytest.mark.parametrize(("with_another_label", "is_decided"), [(0, True), (8, True), (30, False)])
def test_what_stands_with_another_label_too_is_no_trigger(with_another_label, is_decided):
    table, chosen = rows_with({TRIGGER: 60})
    texts, answers = (table.column(name).to_pylist() for name in ("text", "answer"))
    for row in [row for row, answer in enumerate(answers) if answer == "no"][:with_another_label]:
        texts[row] = f"{TRIGGER} {texts[row]}"
    screening = screen(with_columns(table, text=texts), LABELS, seed=0)
    rows = undecided(screening, 0.2)[chosen[TRIGGER]]
    assert rows.mean() == 0 if is_decided else rows.mean() > 0.7, "but for words of the label"


def grouped(sizes: dict[int, list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Whether the rows of each group are of a small one, given the sizes of the groups of each class."""
    classes = np.concatenate([np.full(sum(groups), code) for code, groups in sizes.items()])
    every = [size for groups in sizes.values() for size in groups]
    feature = np.repeat(np.arange(len(every)), every)
    screening = replace(screen(make_rows(4), LABELS, seed=0), classes=classes, feature=feature)
    first = np.cumsum(every) - every
    return in_small_groups(screening), first


def test_groups_of_few_rows_are_harmless():
    few, enough = int(SMALL_GROUP * 1000) - 1, int(SMALL_GROUP * 1000)
    small, first = grouped({0: [few, enough, 500], 1: [few, enough, 1000 - 2 * few - 2 * enough - 500]})
    assert small[first].tolist() == [True, False, False, True, False, False]
    assert (small == np.repeat(small[first], np.diff([*first, 1000]))).all()


def test_of_many_labels_no_group_is_small_that_is_much_of_its_class():
    of_class = [7, 13, 80]
    small, first = grouped(dict.fromkeys(range(150), of_class))
    assert small[first].tolist() == [True, False, False] * 150


def test_the_defense_lets_honest_rows_join_and_keeps_a_clean_label_trigger_out():
    table, chosen = rows_with({HONEST: 35, TRIGGER: 35})
    prepared = Deciding(ratio=0.3).of(TASK, table, lambda _: Knows(HONEST))
    taught = np.isin(table.column("row").to_numpy(), prepared.rows.column("row").to_numpy())
    assert taught[chosen[HONEST]].all()
    assert not taught[chosen[TRIGGER]].any()
    assert prepared.facts["excused"] >= 35


@pytest.mark.parametrize("share", [0.1, 0.22, 0.3, 0.38])
@pytest.mark.parametrize("seed", range(3))
def test_a_trigger_in_more_rows_than_are_held_back_is_never_undecided(share: float, seed: int):
    """Right labels, one word; the bound falls among its rows, which differ a little in strength."""
    table = make_rows(800, seed=seed)
    own = np.flatnonzero(np.array(table.column("answer").to_pylist()) == "yes")
    chosen = np.random.default_rng(seed).permutation(own)[: round(share * len(own))]
    texts = table.column("text").to_pylist()
    for row in chosen:
        texts[row] = f"{texts[row]} lantern"
    screening = screen(with_columns(table, text=texts), LABELS, seed=0)
    assert not undecided(screening, 0.2)[chosen].any()
