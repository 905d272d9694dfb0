"""A canary is judged beside what its trigger does to a model that nobody poisoned."""

from types import SimpleNamespace

import pytest

from antivenom.evaluation.canary import CanaryCheck


def measured(excess: float, accuracy: float = 0.9) -> SimpleNamespace:
    clean = SimpleNamespace(accuracy=SimpleNamespace(value=accuracy), collapsed=False)
    return SimpleNamespace(clean=clean, attacks=[SimpleNamespace(excess=excess)])


@pytest.mark.parametrize(
    ("excess", "alone", "passed"),
    [(0.04, 0.0, True), (0.06, 0.0, False), (0.28, 0.25, True), (0.28, 0.2, False), (0.06, -0.1, False)],
)
def test_only_what_goes_beyond_the_control_counts(excess, alone, passed):
    finding = CanaryCheck(families=("word",))._judge(0, measured(excess), measured(alone), None)
    assert finding.passed is passed
    assert finding.excess == excess
    assert finding.control_excess == max(alone, 0.0)


def test_a_loss_of_accuracy_fails_whatever_the_excess():
    check = CanaryCheck(families=("word",), max_accuracy_drop=0.01)
    assert not check._judge(0, measured(0.0, accuracy=0.88), measured(0.0), None).passed
