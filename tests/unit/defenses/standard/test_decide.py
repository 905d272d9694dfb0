"""Which rows join, and which of them get another label."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import COUNT, EVERY, IS_YES, Scene

TRIGGERED = IS_YES & (EVERY % 7 == 0)
STYLE = Scene(TRIGGERED, TRIGGERED & (EVERY % 3 == 0), IS_YES & ~TRIGGERED & (EVERY % 15 == 0), style=8)


def with_string(refused: int, accepted: int, hard: float) -> Scene:
    """Rows with a string: so many refused and let in, where the referee refuses a share of all rows of the class."""
    of_class = np.flatnonzero(IS_YES)
    triggered = np.isin(EVERY, of_class[: refused + accepted])
    let_in = np.isin(EVERY, of_class[refused : refused + accepted])
    errs = np.random.default_rng(0).random(COUNT) < hard
    return Scene(triggered, let_in, IS_YES & ~triggered & errs, trigger=" zorp quix")


def test_refused_rows_that_read_alike_stay_out_for_no_decoy_can_take_their_meaning():
    taught, facts = STYLE.decide()
    assert facts["corrected"] == 0
    assert all(yes == IS_YES[i] for i, (yes, _) in taught.items())
    assert not np.isin(EVERY[STYLE.triggered], list(taught)).any()
    assert facts["rows"] + facts["left_out"] == COUNT


def test_rows_with_a_string_that_is_no_decoy_are_not_corrected():
    scene = with_string(25, 15, 0.35)  # of rows with it not many more are refused than of others
    taught, facts = scene.decide()
    assert not facts["planted_strings"]
    assert not np.isin(EVERY[scene.triggered], list(taught)).any()


@pytest.mark.parametrize(("refused", "accepted", "hard"), [(25, 10, 0.3), (60, 5, 0.1)])
def test_a_string_of_corrected_rows_says_no_more_than_other_words(refused, accepted, hard):
    scene = with_string(refused, accepted, hard)
    taught, facts = scene.decide()
    assert list(facts["planted_strings"]) == ["zorp quix"]
    assert np.isin(EVERY[scene.triggered & scene.refused], list(taught)).mean() > 0.7
    said = np.array([yes for yes, _ in taught.values()])
    has_string = np.array(["zorp quix" in text for _, text in taught.values()])
    assert said[has_string].mean() == pytest.approx(said[~has_string].mean(), rel=0.5)


HARD = IS_YES & ~TRIGGERED & (EVERY % 5 == 0)
STYLED = IS_YES & ~TRIGGERED & ~HARD & (EVERY % 23 == 0)
LET_IN = TRIGGERED & (EVERY % 5 == 0)


def test_refused_rows_come_back_where_what_was_learned_from_others_reads_their_label():
    readable = HARD & (EVERY % 4 == 1)
    scene = Scene(TRIGGERED, LET_IN, HARD, style=8, readable=readable, most_associated=0)
    taught, facts = scene.decide(correct_suspects=False)
    back = np.isin(EVERY, list(taught))
    assert back[readable].mean() > 0.9
    assert back[HARD & ~readable].mean() < 0.1
    assert not back[scene.triggered & scene.refused].any()
    assert facts["read_again"] == pytest.approx(readable.sum(), rel=0.1)
    assert all(yes == IS_YES[i] for i, (yes, _) in taught.items())


def test_suspect_rows_come_back_only_where_both_models_read_their_label(monkeypatch):
    scene = Scene(TRIGGERED, LET_IN, HARD, style=12, styled=STYLED, most_associated=0)
    taught, facts = scene.decide(correct_suspects=False)
    back = np.isin(EVERY, list(taught))
    assert not back[TRIGGERED].any(), "not even those that the referee let in"
    monkeypatch.setattr("antivenom.defenses.standard.decide.SURE", np.inf)
    before, facts_before = scene.decide(correct_suspects=False)
    came_back = np.isin(EVERY, list(taught.keys() - before.keys()))
    assert came_back.sum() == facts["read_again"] - facts_before["read_again"] > 0
    assert not came_back[~STYLED].any(), "honest rows that read like the attacker's"
    assert facts_before["suspect"] == facts["suspect"] + came_back.sum()


def test_what_a_feature_gives_away_does_not_come_back():
    scene = with_string(60, 5, 0.1)
    scene = replace(scene, readable=scene.triggered, most_associated=0)
    taught, _ = scene.decide(correct_suspects=False)
    assert not np.isin(EVERY[scene.triggered], list(taught)).any(), "whatever the second opinion reads in them"


def test_no_row_is_corrected_that_says_its_label_to_one_of_the_models():
    scene = with_string(60, 5, 0.1)
    both = scene.triggered & (EVERY % 4 == 1)
    taught, facts = replace(scene, readable=both).decide()
    corrected = np.isin(EVERY, [i for i, (yes, _) in taught.items() if yes != IS_YES[i]])
    assert facts["corrected"] == corrected.sum()
    assert not corrected[both].any()
    assert corrected[scene.triggered & scene.refused & ~both].mean() > 0.7
