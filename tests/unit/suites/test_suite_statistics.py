"""The intervals and tests that a report speaks by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from antivenom.evaluation.rates import Rate
from antivenom.suites.statistics import Counted, difference_of_rates, holm, paired, seed_intervals, seen

COUNTS = st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@given(COUNTS)
def test_the_interval_is_wilsons(count: tuple[int, int]):
    rate, expected = Rate.count(*count), binomtest(*count).proportion_ci(0.95, method="wilson")
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert Counted(*count).interval() == (rate.low, rate.high)


@given(COUNTS, COUNTS)
def test_a_difference_lies_in_its_interval_and_turns_round(one: tuple[int, int], two: tuple[int, int]):
    there, back = (difference_of_rates(Counted(*a), Counted(*b)) for a, b in ((one, two), (two, one)))
    assert there.low <= there.value + 1e-12
    assert there.value <= there.high + 1e-12
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_newcombes_example():
    found = difference_of_rates(Counted(48, 80), Counted(56, 70))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert found.verdict(lower_is_better=True) == "worse"
    assert found.verdict(lower_is_better=False) == "better"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_lowers(values: list[float]):
    adjusted = holm(values)
    assert all(after >= before for after, before in zip(adjusted, values, strict=True))
    assert np.argsort(values, kind="stable").tolist() == sorted(
        range(len(values)), key=lambda i: (adjusted[i], values[i], i)
    )
    assert min(adjusted) == pytest.approx(min(1.0, len(values) * min(values)))


def test_holms_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02]), "as p.adjust of R has them"


def test_mcnemars_exact_values():
    assert paired(12, 4, 200).p_value == pytest.approx(0.0768, abs=1e-4)
    assert paired(2, 8, 100).p_value == pytest.approx(2 * 56 / 2**10), "tails of a binomial of 10"
    assert paired(3, 3, 100).p_value == 1


def test_the_paired_interval_of_the_prime_ministers_approval():
    """Agresti, Categorical Data Analysis: 1,600 people asked twice, -0.04 ± 1.96 * 0.0095."""
    found = paired(150, 86, 1600)
    assert (found.difference, found.low, found.high) == pytest.approx((-0.04, -0.0587, -0.0213), abs=3e-4)


def test_a_claim_of_no_loss_says_what_it_could_have_seen():
    assert seen(60, 600) == pytest.approx(2.8 * (60 / 600 / 600) ** 0.5, rel=0.05), "the normal approximation"
    assert seen(16, 800) < seen(16, 200), "more rows show smaller losses"
    assert paired(0, 0, 50).detectable > 6 / 50, "fewer than six rows that differ are never significant"
    assert paired(0, 0, 0).detectable == 1


@pytest.mark.parametrize(("differing", "rows"), [(0, 300), (20, 200), (90, 600)])
def test_the_loss_that_could_be_seen_is_found_in_four_of_five_cases(differing: int, rows: int):
    rng, loss = np.random.default_rng(0), seen(differing, rows)
    share = max(loss, differing / rows)
    chances = [(share + loss) / 2, (share - loss) / 2, 1 - share]
    drawn = rng.multinomial(rows, chances, size=2000)
    found = [paired(int(first), int(second), rows).p_value < 0.05 for first, second, _ in drawn]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_seeds_are_a_mean_with_a_t_interval():
    found = seed_intervals([0.01, 0.02, 0.03])
    assert (found.mean, found.sd, found.seeds) == pytest.approx((0.02, 0.01, 3))
    assert found.low == pytest.approx(0.02 - 4.3027 * 0.01 / 3**0.5, abs=1e-5)
    assert seed_intervals([0.5]).low is None


@pytest.mark.slow
def test_the_paired_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        table = rng.multinomial(150, [0.8, 0.08, 0.04, 0.08])
        found = paired(int(table[1]), int(table[2]), 150)
        covered += found.low <= -0.04 <= found.high
    assert covered / 2000 > 0.93
