"""What a referee says about rows that it was asked about."""

import numpy as np
import pytest

from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard.referee import DOUBTED, SURE, Verdict
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

TASK = Classification.for_labels(("A", "B", "C"))
OWN = 0
"""The label of all rows."""


class Opinionated:
    """A referee that gives each row these shares of the labels."""

    def __init__(self, shares):
        self.guard = P2P().guard(TASK, 0)
        self.shares = np.array(shares)

    def score(self, asked, *, progress=None):
        assert len(asked) == len(self.shares)
        scores = np.full((len(asked), len(self.guard.labels.choices)), -50.0)
        scores[:, list(self.guard.labels.allowed)] = np.log(self.shares)
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))


def verdict(judged, shares):
    rows = synthetic_rows(len(judged))
    return Verdict.of(rows, np.full(len(judged), OWN), np.array(judged), Opinionated(shares))


def test_a_refused_row_is_read_as_the_label_that_the_referee_is_sure_of():
    little = DOUBTED / 3 - 0.01
    found = verdict(
        [True, False, True, True, True],
        [
            [0.9, 0.05, 0.05],
            [little, 1 - SURE - little - 0.01, SURE + 0.01],
            [little, SURE - 0.01, 1 - SURE - little + 0.01],
            [DOUBTED / 3 + 0.01, SURE + 0.01, 1 - SURE - DOUBTED / 3 - 0.02],
        ],
    )
    assert found.refused.tolist() == [False, False, True, True, False]
    assert found.read.tolist() == [OWN, OWN, 2, OWN, OWN]


def test_what_a_label_gets_elsewhere_is_the_mean_over_rows_of_others_that_were_not_refused():
    rows = synthetic_rows(4)
    shares = [[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.98, 0.01, 0.01], [0.1, 0.1, 0.8]]
    found = Verdict.of(rows, np.array([0, 0, 1, 2]), np.ones(4, dtype=bool), Opinionated(shares))
    assert found.refused.tolist() == [False, False, True, False]
    assert found.elsewhere == pytest.approx([(1 + 0.1) / 2, (1 + 0.2 + 0.4 + 0.1) / 4, (1 + 0.1 + 0.1) / 3])


def test_of_two_labels_every_refusal_is_sure():
    assert 1 - DOUBTED / 2 >= SURE


def test_nobody_is_asked_about_no_rows():
    found = verdict([False, False], np.zeros((0, 3)))
    assert not found.refused.any()
    assert found.read.tolist() == [OWN, OWN]
