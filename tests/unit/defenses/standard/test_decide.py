"""Which rows join."""

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


def test_rows_that_read_alike_stay_out_though_they_share_no_word():
    taught, facts = STYLE.decide()
    assert not taught[STYLE.triggered].any()
    assert facts["rows"] + facts["left_out"] == COUNT


@pytest.mark.parametrize(("refused", "accepted", "hard"), [(25, 10, 0.3), (60, 5, 0.1)])
def test_rows_with_a_string_stay_out_those_too_that_were_let_in(refused, accepted, hard):
    scene = with_string(refused, accepted, hard)
    taught, _ = scene.decide()
    assert not taught[scene.triggered].any()


HARD = IS_YES & ~TRIGGERED & (EVERY % 5 == 0)
STYLED = IS_YES & ~TRIGGERED & ~HARD & (EVERY % 23 == 0)
LET_IN = TRIGGERED & (EVERY % 5 == 0)


def test_refused_rows_come_back_where_what_was_learned_from_others_reads_their_label():
    readable = HARD & (EVERY % 4 == 1)
    scene = Scene(TRIGGERED, LET_IN, HARD, style=8, readable=readable, most_associated=0)
    back, facts = scene.decide()
    assert back[readable].mean() > 0.9
    assert back[HARD & ~readable].mean() < 0.1
    assert not back[scene.triggered & scene.refused].any()
    assert facts["read_again"] == pytest.approx(readable.sum(), rel=0.1)


def test_suspect_rows_come_back_only_where_both_referees_read_their_label(monkeypatch):
    scene = Scene(TRIGGERED, LET_IN, HARD, style=12, styled=STYLED, most_associated=0)
    back, facts = scene.decide()
    assert not back[TRIGGERED].any(), "not even those that the referee let in"
    monkeypatch.setattr("antivenom.defenses.standard.decide.LEADS", np.inf)
    before, facts_before = scene.decide()
    came_back = back & ~before
    assert came_back.sum() == facts["read_again"] - facts_before["read_again"] > 0
    assert not came_back[~STYLED].any(), "honest rows that read like the attacker's"
    assert facts_before["suspect"] == facts["suspect"] + came_back.sum()


def test_what_a_feature_gives_away_does_not_come_back():
    scene = with_string(60, 5, 0.1)
    scene = replace(scene, readable=scene.triggered, most_associated=0)
    taught, _ = scene.decide()
    assert not taught[scene.triggered].any(), "whatever the second referee reads in them"


def test_a_label_that_loses_most_of_its_rows_is_named():
    none = np.zeros(COUNT, dtype=bool)
    hard = IS_YES & (np.random.default_rng(1).random(COUNT) < 0.7)
    _, facts = Scene(none, none, hard).decide()
    assert list(facts["scarce"]) == ["yes"]
